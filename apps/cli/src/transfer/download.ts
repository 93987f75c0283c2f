import { createHash } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
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
import type { Progress, Transfer } from '../terminal/progress.ts';
import { humanBytes, oneLine } from '../terminal/text.ts';
import { hashInto } from './hash-file.ts';
import { openPart } from './part-file.ts';
import { endedEarly, readRanges } from './ranges.ts';

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
/** What is larger is fetched in several parts at once. */
const SEVERAL_FROM_BYTES = 32 * 1024 * 1024;

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
  let right = await fetchInto(part, download, 'in parts');
  if (!right && (resumedFrom > 0 || download.what.size > SEVERAL_FROM_BYTES)) {
    await rm(part, { force: true });
    // In one answer, whose bytes storage compares too: it learns of its damage so.
    right = await fetchInto(part, download, 'at once');
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
  for await (const chunk of bytesFrom(download, 0, 'in parts')) {
    hash.update(chunk);
    progress.add(chunk.byteLength);
    await write(chunk);
  }
  if (hash.digest('hex') !== download.what.sha256) throw falseBytes(download);
}

/** Brings the part to its full size; false where it then has another digest. */
async function fetchInto(part: string, download: Download, how: Way): Promise<boolean> {
  const { what, signal } = download;
  for (let tries = 1; ; tries++) {
    const before = await sizeOf(part);
    try {
      return await fetchRest(part, before > what.size ? 0 : before, download, how);
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

async function fetchRest(part: string, from: number, download: Download, how: Way): Promise<boolean> {
  const { what, signal } = download;
  await using file = await openPart(part, from);
  const hash = createHash('sha256');
  await hashInto(hash, part, signal, from);
  let size = from;
  if (from < what.size) {
    using progress = download.progress(transferOf(download, from));
    for await (const chunk of bytesFrom(download, from, how)) {
      hash.update(chunk);
      await file.append(chunk);
      size += chunk.byteLength;
      progress.add(chunk.byteLength);
      if (size > what.size) return false;
    }
  }
  if (size < what.size) throw endedEarly();
  await file.sync();
  return hash.digest('hex') === what.sha256;
}

/** How bytes are asked for. */
type Way = 'in parts' | 'at once';

/** The bytes from `from` on. */
function bytesFrom(download: Download, from: number, how: Way): AsyncIterable<Uint8Array> {
  const { what, signal } = download;
  if (how === 'at once' || what.size - from <= SEVERAL_FROM_BYTES) return oneAnswer(download, from);
  const range = async (start: number, end: number, signal: AbortSignal) =>
    await openRight(download, { range: `bytes=${start}-${end}` }, signal);
  return readRanges(range, from, what.size, signal, (answer) => restOf(answer, from));
}

async function* oneAnswer(download: Download, from: number): AsyncGenerator<Uint8Array> {
  const headers = from === 0 ? {} : { range: `bytes=${from}-` };
  yield* restOf(await openRight(download, headers, download.signal), from);
}

/** An answer whose bytes are those that storage has described. */
async function openRight(
  download: Download,
  headers: { readonly range?: string },
  signal: AbortSignal,
): Promise<BytesOut> {
  const answer = await download.what.open(headers, signal);
  const { 'repr-digest': digest = '' } = answer.headers;
  const promised = parseDigestField(digest);
  if (promised === null || promised === download.what.sha256) return answer;
  await answer.body?.cancel();
  throw falseBytes(download);
}

function restOf({ status, body }: BytesOut, from: number): AsyncIterable<Uint8Array> {
  const bytes = body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  return status === 206 || from === 0 ? bytes : skip(bytes, from);
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
