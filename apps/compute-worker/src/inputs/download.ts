import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  type Api,
  abortable,
  type BytesOut,
  isPlatformError,
  isTransient,
  PlatformError,
  type ResourceType,
  retry,
  type StorageContract,
} from '@morpheo/common';

/** The calls of storage that bring inputs. */
export type InputStorage = Pick<Api<StorageContract>, 'get' | 'getBlob' | 'getDataBlob'>;

/** A thing on storage. */
export interface BlobName {
  readonly type: ResourceType;
  readonly uuid: string;
}

/** A blob on storage, and what its bytes must be. */
export interface ExpectedBlob extends BlobName {
  /** In bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** How long storage may be silent in the middle of a download, in milliseconds. */
const SILENCE_MS = 30_000;
const TRIES = 5;
/** The pauses between tries of a call of storage. */
export const RETRY_PAUSES = { firstMs: 400, mostMs: 5000, jitter: 0.5 };
/** How often other bytes than promised are fetched before that is not taken for an accident any more. */
const MISMATCHES = 3;

/** Where the bytes of a download come from. */
export interface DownloadSource {
  /** As sentences begin with it, such as `Storage`. */
  readonly server: string;
  /** As sentences name it. */
  readonly name: string;
  /** Asks for the bytes from a place on; all of them may come all the same. */
  readonly ask: (at: number, signal: AbortSignal) => Promise<BytesOut>;
  /** Called with each piece that has come. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/** What the bytes of a download must be. */
export type ExpectedBytes = Pick<ExpectedBlob, 'size' | 'sha256'>;

/** Downloads a blob from storage into a new file, as {@link downloadFile} does. Data sets have a route of their own, for workers alone. */
export async function download(
  storage: InputStorage,
  blob: ExpectedBlob,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  const { type, uuid } = blob;
  const ask = async (at: number, stop: AbortSignal) => {
    const headers = at === 0 ? {} : { range: `bytes=${at}-` };
    if (type === 'data') return await storage.getDataBlob({ params: { uuid }, headers }, { signal: stop });
    return await storage.getBlob({ params: { type, uuid }, headers }, { signal: stop });
  };
  await downloadFile({ server: 'Storage', name: nameOf(blob), ask }, blob, into, signal);
}

/**
 * Downloads bytes into a new file. What arrives is hashed on its way; where the connection is cut, the download goes
 * on from there, and where the digest is wrong it begins anew, each a few times. Throws the source's error, or
 * `digest_mismatch` where it serves other bytes than were promised.
 */
export async function downloadFile(
  source: DownloadSource,
  expected: ExpectedBytes,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  await using file = await open(into, 'wx', 0o644);
  const bytes = new Download(source, expected, file);
  let mismatches = 0;
  const retryIf = (error: unknown) => {
    if (!isPlatformError(error, 'digest_mismatch')) return isTransient(error);
    mismatches += 1;
    return mismatches < MISMATCHES;
  };
  await retry(async () => await bytes.fetch(signal), { ...RETRY_PAUSES, tries: TRIES, retryIf, signal });
}

/** Bytes on their way into a file, and how far they are. */
class Download {
  readonly #source: DownloadSource;
  readonly #expected: ExpectedBytes;
  readonly #file: FileHandle;
  #hash = createHash('sha256');
  #at = 0;

  constructor(source: DownloadSource, expected: ExpectedBytes, file: FileHandle) {
    this.#source = source;
    this.#expected = expected;
    this.#file = file;
  }

  /** Fetches what is not here yet, and compares the digest. Where that is wrong, the next call begins anew. */
  async fetch(signal: AbortSignal): Promise<void> {
    const { server, name, ask } = this.#source;
    const silence = new AbortController();
    const silent = `${server} fell silent for ${SILENCE_MS / 1000} s while it served ${name}.`;
    const timer = setTimeout(() => silence.abort(new PlatformError('unavailable', silent)), SILENCE_MS);
    const stop = AbortSignal.any([signal, silence.signal]);
    try {
      const answer = await ask(this.#at, stop);
      if (!this.#continues(answer)) this.#restart();
      for await (const bytes of this.#read(answer, stop)) {
        timer.refresh();
        await this.#append(bytes);
      }
    } finally {
      clearTimeout(timer);
    }
    this.#verify();
  }

  /** Whether the bytes go on where we are; a storage without ranges sends all of them again. */
  #continues({ status, headers }: BytesOut): boolean {
    const { 'content-range': range = '' } = headers;
    return this.#at === 0 || (status === 206 && range.startsWith(`bytes ${this.#at}-`));
  }

  /** The bytes of an answer; a connection that breaks is `unavailable`, whatever its error looks like. */
  async *#read(answer: BytesOut, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const reader = answer.body?.getReader();
    if (reader === undefined) return;
    try {
      for (;;) {
        const { done, value } = await abortable(reader.read(), signal);
        if (done) return;
        yield value;
      }
    } catch (cause) {
      signal.throwIfAborted();
      const { server, name } = this.#source;
      const message = `${server} broke off while it served ${name}.`;
      throw new PlatformError('unavailable', message, { cause });
    } finally {
      reader.cancel().catch(() => undefined);
    }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const { size } = this.#expected;
    if (this.#at + bytes.byteLength > size) {
      throw this.#mismatch('with more bytes than it should have');
    }
    this.#hash.update(bytes);
    for (let written = 0; written < bytes.byteLength; ) {
      const { bytesWritten } = await this.#file.write(bytes, written, undefined, this.#at + written);
      written += bytesWritten;
    }
    this.#at += bytes.byteLength;
    this.#source.onBytes?.(bytes.byteLength);
  }

  #verify(): void {
    const { size, sha256 } = this.#expected;
    if (this.#at < size) {
      const message = `${this.#source.server} ended ${this.#source.name} before its end.`;
      throw new PlatformError('unavailable', message);
    }
    const digest = this.#hash.copy().digest('hex');
    if (digest !== sha256) throw this.#mismatch('with another digest than it should have');
  }

  #restart(): void {
    this.#hash = createHash('sha256');
    this.#at = 0;
  }

  // Whoever sees the order sees this: neither the size nor the digest of hidden data is for them.
  #mismatch(how: string): PlatformError {
    this.#restart();
    const { server, name } = this.#source;
    return new PlatformError('digest_mismatch', `${server} served ${name} ${how}.`);
  }
}

/** A thing on storage as a sentence names it: `data 6c7a2f5e-…`. */
export function nameOf({ type, uuid }: BlobName): string {
  return `${type} ${uuid}`;
}
