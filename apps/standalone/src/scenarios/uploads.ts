import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { uploadForm } from '@morpheo/client';
import type { Api, StorageContract } from '@morpheo/common';
import { archiveOf, hostileArchive } from './archives.ts';

const PROGRAMS = fileURLToPath(new URL('./programs/', import.meta.url));

/** Numbers with their parity, one a line: a data set of the problem `problem-parity`. */
export const DATA = '3 1\n8 0\n15 1\n';

/** Uploads a program's folder, or `archive:…` that means harm, and returns its new uuid; `unknown` is not uploaded. */
export async function uploadProgram(
  storage: Api<StorageContract>,
  type: 'problem' | 'algo',
  program: string,
): Promise<string> {
  if (program === 'unknown') return randomUUID();
  const [kind, rest] = program.split(':');
  const archive = kind === 'archive' ? hostileArchive(rest ?? '') : await archiveOf(join(PROGRAMS, program));
  const names = { name: program, ...(type === 'problem' ? { description: program } : {}) };
  return await uploadThing(storage, type, names, archive);
}

/** Uploads a data set of the given text, and returns its new uuid. */
export async function uploadData(storage: Api<StorageContract>, text = DATA): Promise<string> {
  return await uploadThing(storage, 'data', {}, Buffer.from(text));
}

/** Uploads a model of an algorithm, and returns its new uuid. */
export async function uploadModel(
  storage: Api<StorageContract>,
  algo: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const uuid = randomUUID();
  const body = { body: new Blob([bytes]).stream(), contentLength: bytes.byteLength };
  await storage.uploadModel({ query: { algo, uuid }, body });
  return uuid;
}

/** Uploads what a prediction order needs, for workers that do not look into it. */
export async function uploadForPredictions(
  storage: Api<StorageContract>,
): Promise<{ readonly model: string; readonly data: string }> {
  const bytes = new TextEncoder().encode('not looked into');
  const algo = await uploadThing(storage, 'algo', { name: 'algo' }, bytes);
  return { model: await uploadModel(storage, algo, bytes), data: await uploadData(storage) };
}

/** Uploads bytes with the names that go with their type, and returns their new uuid. */
export async function uploadThing(
  storage: Api<StorageContract>,
  type: 'problem' | 'algo' | 'data',
  names: Record<string, string>,
  bytes: Uint8Array,
): Promise<string> {
  const uuid = randomUUID();
  const fields = { uuid, ...names, size: String(bytes.byteLength) };
  const body = uploadForm({ fields, blob: new Blob([new Uint8Array(bytes)]) });
  await storage.upload({ params: { type }, query: {}, body });
  return uuid;
}
