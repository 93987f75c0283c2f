import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  type Api,
  type BytesOut,
  isPlatformError,
  PlatformError,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { orAborted } from './abort.ts';
import { mayPass, patiently } from './patience.ts';

/** The calls of storage that bring inputs. */
export type InputStorage = Pick<Api<StorageContract>, 'get' | 'getBlob' | 'getDataBlob'>;

/** A thing on storage. */
export interface BlobName {
  readonly type: ResourceType;
  readonly uuid: string;
}

/** What is downloaded, and what it must be. */
export interface Download extends BlobName {
  /** In bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** How long storage may be silent in the middle of a download, in milliseconds. */
const SILENCE_MS = 30_000;
const RETRIES = 4;
/** How often other bytes than promised are fetched before that is not taken for an accident any more. */
const MISMATCHES = 3;

/**
 * Downloads a blob into a new file. What arrives is hashed on its way; where the connection is cut, the download goes
 * on from there, and where the digest is wrong it begins anew, each a few times. Throws the storage's error, or
 * `digest_mismatch` where storage serves other bytes than its metadata promise.
 */
export async function download(
  storage: InputStorage,
  what: Download,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  await using file = await open(into, 'wx', 0o644);
  const progress: Progress = { file, hash: createHash('sha256'), at: 0 };
  let mismatches = 0;
  const worth = (error: unknown) => {
    if (!isPlatformError(error, 'digest_mismatch')) return mayPass(error);
    mismatches += 1;
    return mismatches < MISMATCHES;
  };
  await patiently({ retries: RETRIES, signal, worth }, async () => {
    await fetchRest(storage, what, progress, signal);
    const digest = progress.hash.copy().digest('hex');
    if (digest === what.sha256) return;
    restart(progress);
    const expected = `it should have the digest ${what.sha256}`;
    throw new PlatformError('digest_mismatch', `Storage served ${nameOf(what)} with ${digest}; ${expected}.`);
  });
}

interface Progress {
  readonly file: FileHandle;
  hash: Hash;
  at: number;
}

function restart(progress: Progress): void {
  progress.hash = createHash('sha256');
  progress.at = 0;
}

async function fetchRest(
  storage: InputStorage,
  what: Download,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(silent(what)), SILENCE_MS);
  const both = AbortSignal.any([signal, silence.signal]);
  try {
    const answer = await fetchFrom(storage, what, progress.at, both);
    if (!goesOn(answer, progress.at)) restart(progress);
    for await (const bytes of readBody(answer, what, both)) {
      timer.refresh();
      await append(progress, bytes, what);
    }
  } finally {
    clearTimeout(timer);
  }
  if (progress.at < what.size) {
    throw new PlatformError(
      'unavailable',
      `Storage ended ${nameOf(what)} after ${progress.at} of ${what.size} bytes.`,
    );
  }
}

/** The bytes of an answer; a connection that breaks is `unavailable`, whatever its error looks like. */
async function* readBody(answer: BytesOut, what: Download, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = answer.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await orAborted(reader.read(), signal);
      if (done) return;
      yield value;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new PlatformError(
      'unavailable',
      `The connection to storage broke while it served ${nameOf(what)}.`,
      {
        cause: error,
      },
    );
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Whether the bytes go on where we are; a storage without ranges sends all of them again. */
function goesOn(answer: BytesOut, at: number): boolean {
  const { 'content-range': range = '' } = answer.headers;
  return at === 0 || (answer.status === 206 && range.startsWith(`bytes ${at}-`));
}

async function append(progress: Progress, bytes: Uint8Array, what: Download): Promise<void> {
  if (progress.at + bytes.byteLength > what.size) {
    restart(progress);
    const message = `Storage served ${nameOf(what)} with more than the ${what.size} bytes that it should have.`;
    throw new PlatformError('digest_mismatch', message);
  }
  progress.hash.update(bytes);
  for (let written = 0; written < bytes.byteLength; ) {
    const { bytesWritten } = await progress.file.write(bytes, written, undefined, progress.at + written);
    written += bytesWritten;
  }
  progress.at += bytes.byteLength;
}

/** The bytes of a blob from `at` on; data sets have a route of their own, for workers alone. */
async function fetchFrom(
  storage: InputStorage,
  { type, uuid }: BlobName,
  at: number,
  signal: AbortSignal,
): Promise<BytesOut> {
  const headers = at === 0 ? {} : { range: `bytes=${at}-` };
  if (type === 'data') return await storage.getDataBlob({ params: { uuid }, headers }, { signal });
  return await storage.getBlob({ params: { type, uuid }, headers }, { signal });
}

function silent(name: BlobName): PlatformError {
  const seconds = SILENCE_MS / 1000;
  return new PlatformError(
    'unavailable',
    `Storage fell silent for ${seconds} s while it served ${nameOf(name)}.`,
  );
}

/** A thing on storage as a sentence names it: `data 6c7a2f5e-…`. */
export function nameOf({ type, uuid }: BlobName): string {
  return `${type} ${uuid}`;
}
