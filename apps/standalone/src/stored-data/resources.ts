import { createHash, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { uploadForm } from '@morpheo/client';
import { isPlatformError, measured, type ResourceType } from '@morpheo/common';
import type { StoredServices } from './services.ts';
import { one } from './worker.ts';

const TUS = { 'tus-resumable': '1.0.0' } as const;
/** The bytes of the upload that is not at its end, and how many of them have come. */
export const UPLOAD = { bytes: Buffer.alloc(6000, 'resumable '), received: 2500 } as const;

/** The ids of what was uploaded, for orders to name. */
export interface Resources {
  readonly problems: readonly string[];
  readonly algos: readonly string[];
  readonly data: readonly string[];
  readonly model: string;
  /** Where the upload that is not at its end goes on. */
  readonly upload: string;
}

/** Uploads things of every type, in every way that there is. */
export async function uploadResources(services: StoredServices, folder: string): Promise<Resources> {
  const { storage } = services;
  const problems = await several(3, (n) => form(services, 'problem', { name: `P${n}`, description: 'é 漢' }));
  const algos = await several(6, (n) => form(services, 'algo', { name: `algorithm ${n}` }));
  const data = await several(10, () => form(services, 'data', {}));
  await form(services, 'data', {}, 'the same bytes');
  await form(services, 'data', {}, 'the same bytes');
  await several(3, () => form(services, 'prediction', {}));
  const model = randomUUID();
  const body = { body: one(Buffer.from('a model\n')), contentLength: 8 };
  await storage.uploadModel({ query: { algo: algos[0], uuid: model }, body });
  const blob = new Blob([`changed ${model}`]);
  const change = uploadForm({ fields: { description: 'changed', size: String(blob.size) }, blob });
  await storage.patchProblem({ params: { uuid: problems[0] ?? '' }, body: change });
  await resumable(services, UPLOAD.bytes.byteLength);
  const upload = await resumable(services, UPLOAD.received);
  await damage(services, folder, await form(services, 'problem', { name: 'lost', description: 'damaged' }));
  await services.scrub();
  return { problems, algos, data, model, upload };
}

async function several(count: number, make: (n: number) => Promise<string>): Promise<string[]> {
  const made: string[] = [];
  for (let n = 0; n < count; n += 1) made.push(await make(n));
  return made;
}

async function form(
  { storage }: StoredServices,
  type: 'problem' | 'algo' | 'data' | 'prediction',
  names: Record<string, string>,
  text?: string,
): Promise<string> {
  const uuid = randomUUID();
  const blob = new Blob([text ?? `the bytes of ${type} ${uuid}\n`]);
  const fields = { uuid, ...names, size: String(blob.size) };
  await storage.upload({ params: { type }, query: {}, body: uploadForm({ fields, blob }) });
  return uuid;
}

/** Begins a resumable upload of a data set and sends `received` of its bytes. */
async function resumable({ storage }: StoredServices, received: number): Promise<string> {
  const meta = { type: 'data', uuid: randomUUID() };
  const pairs = Object.entries(meta).map(([key, value]) => `${key} ${btoa(value)}`);
  const { headers } = await storage.createUpload({
    headers: { ...TUS, 'upload-length': UPLOAD.bytes.byteLength, 'upload-metadata': pairs.join(',') },
  });
  const upload = headers.location?.split('/').at(-1) ?? '';
  await sendChunk({ storage }, upload, 0, received);
  return upload;
}

/** Sends the bytes of an upload from `from` to `to`. */
export async function sendChunk(
  { storage }: Pick<StoredServices, 'storage'>,
  upload: string,
  from: number,
  to: number,
): Promise<void> {
  const chunk = UPLOAD.bytes.subarray(from, to);
  await storage.patchUpload({
    params: { upload },
    headers: { ...TUS, 'upload-offset': from },
    body: {
      ...{ contentType: 'application/offset+octet-stream', contentLength: chunk.byteLength },
      body: one(chunk),
    },
  });
}

/** Changes a byte of a problem's file on the disk, and reads it, so that it is known to be damaged. */
async function damage({ storage }: StoredServices, folder: string, uuid: string): Promise<void> {
  const { sha256 } = measured(await storage.get({ params: { type: 'problem', uuid } }));
  const path = join(folder, 'storage', 'blobs', sha256.slice(0, 2), sha256);
  const bytes = await readFile(path);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await writeFile(path, bytes);
  // The first reader's bytes are cut short; from then on it is known.
  await digestOf({ storage }, 'problem', uuid).catch(() => undefined);
  if ((await digestOf({ storage }, 'problem', uuid)) !== 'damaged')
    throw new Error('The damage was not seen.');
}

/** The SHA-256 of what storage answers for a thing's bytes; `damaged` where it says that they are. */
export async function digestOf(
  { storage }: Pick<StoredServices, 'storage'>,
  type: ResourceType,
  uuid: string,
): Promise<string> {
  const hash = createHash('sha256');
  try {
    const { body } = await (type === 'data'
      ? storage.getDataBlob({ params: { uuid }, headers: {} })
      : storage.getBlob({ params: { type, uuid }, headers: {} }));
    for await (const piece of body ?? new ReadableStream<Uint8Array>()) hash.update(piece);
  } catch (error) {
    if (isPlatformError(error, 'damaged')) return 'damaged';
    throw error;
  }
  return hash.digest('hex');
}
