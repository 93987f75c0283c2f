import { buffer } from 'node:stream/consumers';
import { isPlatformError, type JobInput, MOST_IN_JOB, PlatformError } from '@morpheo/common';
import { type TarEntry, tarOf } from '@morpheo/service/archive';
import type { StorageCalls } from '../clients.ts';
import type { JobStore } from '../store/store.ts';
import { dataOf } from './ids.ts';

/** Where the inputs of a job lie in its bucket, and what the one of a payload is called. */
export const INPUTS = { prefix: 'inputs/', usual: 'input', older: 'input.json' } as const;

/** A file of a job, and its size in bytes. */
export interface InputFile {
  readonly name: string;
  readonly size: number;
  /** What is in it, where that is at hand. */
  readonly bytes?: Buffer;
}

/** What inputs are made of. */
export interface InputParts {
  readonly store: JobStore;
  readonly storage: Pick<StorageCalls, 'upload' | 'remove'>;
}

/** The inputs that lie in the bucket of a job. Throws `invalid_request` where there are none, or too many. */
export async function inputFilesOf(store: JobStore, job: string): Promise<InputFile[]> {
  const files: InputFile[] = [];
  for await (const file of store.list(job, INPUTS.prefix)) {
    // A folder that somebody made by hand is an object of nothing.
    if (file.name === '' || file.name.endsWith('/')) continue;
    files.push(file);
    if (files.length > MOST_FILES) {
      const message = `Job \`${job}\` has more than ${MOST_FILES} files below inputs/: put them into an archive`;
      throw new PlatformError('invalid_request', message);
    }
  }
  if (files.length === 0)
    throw new PlatformError('invalid_request', `Data for job \`${job}\` does not exist`);
  return files;
}

/** The most files of a job: what an archive may hold that is unpacked for it. */
const MOST_FILES = 100_000;
/** One input is kept free for the usual name of one that has the older one. */
const MOST_INPUTS = MOST_IN_JOB.inputs - 1;

/**
 * The inputs of an order for the files of a job: small ones stand in the order itself, and others are uploaded to storage,
 * where they are removed when the job has ended. Where there are more files than an order has inputs, folders go as archives.
 * Throws `invalid_request` where that does not suffice.
 */
export async function jobInputs(
  parts: InputParts,
  job: string,
  files: readonly InputFile[],
): Promise<JobInput[]> {
  if (files.length <= MOST_INPUTS) return await inputsOfFiles(parts, job, files);
  const folders = Map.groupBy(files, ({ name }) => /^([^/]+)\//.exec(name)?.[1] ?? '');
  const loose = folders.get('') ?? [];
  folders.delete('');
  if (loose.length + folders.size > MOST_INPUTS) {
    const message = `Job \`${job}\` has more than ${MOST_INPUTS} files and folders in inputs/ itself: put them into folders`;
    throw new PlatformError('invalid_request', message);
  }
  const inputs = await inputsOfFiles(parts, job, loose);
  for (const [folder, inside] of folders) {
    const archive = () => tarOf(entriesOf(parts.store, job, inside, `${folder}/`));
    inputs.push({ path: `/in/${folder}`, ...(await uploaded(parts, job, folder, archive)), unpack: true });
  }
  return inputs;
}

async function* entriesOf(
  store: JobStore,
  job: string,
  files: readonly InputFile[],
  folder: string,
): AsyncGenerator<TarEntry> {
  for (const file of files) {
    const name = file.name.slice(folder.length);
    yield { type: 'file', name, mode: 0o644, size: file.size, bytes: await openInput(store, job, file) };
  }
}

async function inputsOfFiles(
  parts: InputParts,
  job: string,
  files: readonly InputFile[],
): Promise<JobInput[]> {
  let room: number = MOST_IN_JOB.inlineBytes;
  const hasUsual = files.some(({ name }) => name === INPUTS.usual);
  const inputs: JobInput[] = [];
  for (const file of files.toSorted((a, b) => a.size - b.size)) {
    const names = file.name === INPUTS.older && !hasUsual ? [INPUTS.usual, INPUTS.older] : [file.name];
    const fits = file.size * names.length <= room;
    if (fits) room -= file.size * names.length;
    const what = fits
      ? { inline: await inlineOf(parts.store, job, file) }
      : await uploaded(parts, job, file.name, async () => await openInput(parts.store, job, file), file.size);
    for (const name of names) inputs.push({ path: `/in/${name}`, ...what });
  }
  return inputs.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function openInput(store: JobStore, job: string, { name, size }: InputFile) {
  const file = await store.read(job, `${INPUTS.prefix}${name}`);
  if (file?.size === size) return file.body;
  await file?.body.cancel();
  throw new PlatformError('conflict', `The input ${name} of job \`${job}\` changed while it was read`);
}

async function inlineOf(store: JobStore, job: string, file: InputFile): Promise<string> {
  const bytes = file.bytes ?? (await buffer(await openInput(store, job, file)));
  return bytes.toString('base64');
}

async function uploaded(
  { storage }: InputParts,
  job: string,
  name: string,
  open: () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>,
  contentLength?: number,
) {
  const resource = { type: 'data', uuid: dataOf(job, name) } as const;
  const upload = async () => {
    const bytes = { body: await open(), contentType: 'application/octet-stream', contentLength };
    await storage.upload({ params: { type: 'data' }, query: { uuid: resource.uuid }, body: bytes });
  };
  try {
    await upload();
  } catch (error) {
    if (!isPlatformError(error, 'conflict')) throw error;
    // Left by a start that came to no order: what lies in the bucket may have changed since.
    await storage.remove({ params: resource });
    await upload();
  }
  return { resource };
}
