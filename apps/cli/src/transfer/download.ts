import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Api,
  type BytesOut,
  isPlatformError,
  type MeasuredResource,
  type OutputFile,
  PlatformError,
  parseDigestField,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { CliError, EXIT, messageOf } from '../exit-codes.ts';
import type { Progress, Transfer } from '../terminal/progress.ts';
import { humanBytes, oneLine } from '../terminal/text.ts';
import { hashInto } from './hash-file.ts';

/** Bytes that storage has: what they are called, and the size and digest that they must have, as storage described them. */
export interface RemoteBytes {
  readonly name: string;
  /** What stands before their progress. */
  readonly title: string;
  readonly size: number;
  readonly sha256: string;
  open(headers: { readonly range?: string }, signal: AbortSignal): Promise<BytesOut>;
}

/** The bytes of a thing that storage keeps. */
export function bytesOfResource(
  storage: Api<StorageContract>,
  type: ResourceType,
  { uuid, size, sha256 }: MeasuredResource,
): RemoteBytes {
  const title = `downloading ${type} ${uuid.slice(0, 8)}`;
  return {
    ...{ name: `${type} ${uuid}`, title, size, sha256 },
    open: async (headers, signal) =>
      type === 'data'
        ? await storage.getDataBlob({ params: { uuid }, headers }, { signal })
        : await storage.getBlob({ params: { type, uuid }, headers }, { signal }),
  };
}

/** The bytes of one file of the output of a job. */
export function bytesOfFile(
  storage: Api<StorageContract>,
  output: string,
  { path, size, sha256 }: OutputFile,
): RemoteBytes {
  const shown = oneLine(path, 60);
  return {
    ...{ name: `file ${shown} of output ${output}`, title: `downloading ${shown}`, size, sha256 },
    open: async (headers, signal) =>
      await storage.getOutputFile({ params: { uuid: output }, query: { path }, headers }, { signal }),
  };
}

/** What to download, and how to tell of it. */
export interface Download {
  readonly what: RemoteBytes;
  readonly progress: (transfer: Transfer) => Progress;
  readonly signal: AbortSignal;
}

/** How often a download that was cut goes on by itself before it gives up. */
const TRIES = 4;
const PAUSE_MS = 200;

/**
 * Downloads into `target`, which appears only when all bytes are there and have the digest that storage told. Until
 * then they are in `<target>.part`: what is found there is kept, and only the rest is fetched. A download that is cut
 * goes on a few times by itself. Throws `PlatformError`: `digest_mismatch` for false bytes (nothing is left then),
 * `unavailable` where it stays cut (the part is left, to go on from). Resolves with the bytes that were there before.
 */
export async function downloadTo(
  target: string,
  download: Download,
): Promise<{ readonly resumedFrom: number }> {
  const part = `${target}.part`;
  const resumedFrom = await sizeOf(part);
  let right = await fetchInto(part, download);
  if (!right && resumedFrom > 0) {
    await rm(part, { force: true });
    right = await fetchInto(part, download);
  }
  if (!right) {
    await rm(part, { force: true });
    throw falseBytes(download);
  }
  await rename(part, target);
  return { resumedFrom };
}

/** Streams the bytes to `write` and checks them at their end; throws like {@link downloadTo}, but cannot go on. */
export async function downloadStream(
  write: (chunk: Uint8Array) => Promise<void>,
  download: Download,
): Promise<void> {
  const hash = createHash('sha256');
  using progress = download.progress(transferOf(download, 0));
  for await (const chunk of await openBytes(download, 0)) {
    hash.update(chunk);
    progress.add(chunk.byteLength);
    await write(chunk);
  }
  if (hash.digest('hex') !== download.what.sha256) throw falseBytes(download);
}

/** Brings the part to its full size; false where it then has another digest. */
async function fetchInto(part: string, download: Download): Promise<boolean> {
  const { what, signal } = download;
  for (let tries = 1; ; tries++) {
    const before = await sizeOf(part);
    try {
      return await fetchRest(part, before > what.size ? 0 : before, download);
    } catch (error) {
      signal.throwIfAborted();
      if (!isPlatformError(error, 'unavailable', 'timed_out')) throw error;
      const now = await sizeOf(part);
      if (now === before && tries > 1) throw cutOff(download, now, error);
      if (tries >= TRIES) throw cutOff(download, now, error);
      await pause(PAUSE_MS * tries, undefined, { signal });
    }
  }
}

async function fetchRest(part: string, from: number, download: Download): Promise<boolean> {
  const { what, signal } = download;
  await using file = await openPart(part, from);
  const hash = createHash('sha256');
  await hashInto(hash, part, signal, from);
  let size = from;
  if (from < what.size) {
    using progress = download.progress(transferOf(download, from));
    for await (const chunk of await openBytes(download, from)) {
      hash.update(chunk);
      await file.append(chunk);
      size += chunk.byteLength;
      progress.add(chunk.byteLength);
      if (size > what.size) return false;
    }
  }
  if (size < what.size) throw new PlatformError('unavailable', 'the answer ended early');
  await file.sync();
  return hash.digest('hex') === what.sha256;
}

async function openBytes(download: Download, from: number): Promise<AsyncIterable<Uint8Array>> {
  const { what, signal } = download;
  const answer = await what.open(from === 0 ? {} : { range: `bytes=${from}-` }, signal);
  const body = answer.body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  const { 'repr-digest': digest = '' } = answer.headers;
  const promised = parseDigestField(digest);
  if (promised !== null && promised !== what.sha256) {
    await body.cancel();
    throw falseBytes(download);
  }
  return answer.status === 206 || from === 0 ? body : skip(body, from);
}

/** For a server that knows no ranges: passes over what is there already. */
async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left < chunk.byteLength) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

function transferOf({ what: { title, size } }: Download, start: number): Transfer {
  return { title, total: size, start };
}

function falseBytes({ what }: Download): PlatformError {
  return new PlatformError(
    'digest_mismatch',
    `The bytes of ${what.name} do not have the SHA-256 that storage tells (${what.sha256}); they were thrown away.`,
  );
}

function cutOff({ what }: Download, have: number, cause: unknown): PlatformError {
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  return new PlatformError(
    'unavailable',
    `The download of ${what.name} was cut after ${humanBytes(have)} of ${humanBytes(what.size)}${reason}; the same command goes on from there.`,
    { cause },
  );
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** The file that a download grows in. Every method throws a `CliError` that names it. */
interface PartFile {
  append(chunk: Uint8Array): Promise<void>;
  /** Resolves when the bytes are on disk to stay. */
  sync(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a part to go on after its first `keep` bytes; what it holds beyond them is dropped. */
async function openPart(path: string, keep: number): Promise<PartFile> {
  const file = await named(path, async () => await open(path, 'a'));
  try {
    await named(path, async () => await file.truncate(keep));
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    append: async (chunk) => await named(path, async () => await writeAll(file, chunk)),
    sync: async () => await named(path, async () => await file.sync()),
    [Symbol.asyncDispose]: async () => await file.close(),
  };
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength; ) at += (await file.write(chunk, at)).bytesWritten;
}

async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new CliError(
      EXIT.usage,
      `${path} cannot be written: ${messageOf(cause)}`,
      'Name another file with -o, or make room.',
      cause,
    );
  }
}
