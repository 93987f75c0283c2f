import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Api,
  isPlatformError,
  type MeasuredResource,
  PlatformError,
  parseDigestField,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { CliError, EXIT, messageOf } from '../exit-codes.ts';
import type { Progress, Transfer } from '../terminal/progress.ts';
import { humanBytes } from '../terminal/text.ts';
import { hashInto } from './hash-file.ts';

/** What to download, and how to tell of it. */
export interface Download {
  readonly storage: Api<StorageContract>;
  readonly type: ResourceType;
  /** As storage described it: its size and digest are what the bytes must have. */
  readonly resource: MeasuredResource;
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
  if (hash.digest('hex') !== download.resource.sha256) throw falseBytes(download);
}

/** Brings the part to its full size; false where it then has another digest. */
async function fetchInto(part: string, download: Download): Promise<boolean> {
  const { resource, signal } = download;
  for (let tries = 1; ; tries++) {
    const before = await sizeOf(part);
    try {
      return await fetchRest(part, before > resource.size ? 0 : before, download);
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
  const { resource, signal } = download;
  await using file = await openPart(part, from);
  const hash = createHash('sha256');
  await hashInto(hash, part, signal, from);
  let size = from;
  if (from < resource.size) {
    using progress = download.progress(transferOf(download, from));
    for await (const chunk of await openBytes(download, from)) {
      hash.update(chunk);
      await file.append(chunk);
      size += chunk.byteLength;
      progress.add(chunk.byteLength);
      if (size > resource.size) return false;
    }
  }
  if (size < resource.size) throw new PlatformError('unavailable', 'the answer ended early');
  await file.sync();
  return hash.digest('hex') === resource.sha256;
}

async function openBytes(download: Download, from: number): Promise<AsyncIterable<Uint8Array>> {
  const { storage, type, resource, signal } = download;
  const headers = from === 0 ? {} : { range: `bytes=${from}-` };
  const input = { params: { uuid: resource.uuid }, headers };
  const answer =
    type === 'data'
      ? await storage.getDataBlob(input, { signal })
      : await storage.getBlob({ ...input, params: { type, uuid: resource.uuid } }, { signal });
  const body = answer.body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  const digest = answer.headers['repr-digest'];
  const promised = digest === undefined ? null : parseDigestField(digest);
  if (promised !== null && promised !== resource.sha256) {
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

function transferOf({ type, resource }: Download, start: number): Transfer {
  return { title: `downloading ${type} ${resource.uuid.slice(0, 8)}`, total: resource.size, start };
}

function falseBytes({ type, resource }: Download): PlatformError {
  return new PlatformError(
    'digest_mismatch',
    `The bytes of ${type} ${resource.uuid} do not have the SHA-256 that storage tells (${resource.sha256}); they were thrown away.`,
  );
}

function cutOff({ type, resource }: Download, have: number, cause: unknown): PlatformError {
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  return new PlatformError(
    'unavailable',
    `The download of ${type} ${resource.uuid} was cut after ${humanBytes(have)} of ${humanBytes(resource.size)}${reason}; the same command goes on from there.`,
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
