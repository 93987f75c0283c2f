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
/** So much of what comes is digested and written at a time. */
const WRITE_BYTES = 512 * 1024;
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
  /** How much is in the file. */
  #at = 0;
  /** What came since, and is not written yet. */
  #taken: Uint8Array[] = [];
  #takenBytes = 0;

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
      try {
        for await (const bytes of this.#read(answer, stop)) {
          timer.refresh();
          this.#take(bytes);
          if (this.#takenBytes >= WRITE_BYTES) await this.#write();
        }
      } finally {
        // Also what came before a connection was cut: the next call goes on behind it.
        await this.#write();
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

  #take(bytes: Uint8Array): void {
    if (this.#at + this.#takenBytes + bytes.byteLength > this.#expected.size)
      throw this.#mismatch('with more bytes than it should have');
    this.#taken.push(bytes);
    this.#takenBytes += bytes.byteLength;
  }

  async #write(): Promise<void> {
    const taken = this.#taken;
    this.#taken = [];
    this.#takenBytes = 0;
    for (const bytes of taken) this.#hash.update(bytes);
    await this.#writeAll(taken);
  }

  async #writeAll(taken: readonly Uint8Array[]): Promise<void> {
    for (let rest = taken; rest.length > 0; ) {
      const { bytesWritten } = await this.#file.writev(rest, this.#at);
      this.#at += bytesWritten;
      this.#source.onBytes?.(bytesWritten);
      rest = after(rest, bytesWritten);
    }
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
    this.#taken = [];
    this.#takenBytes = 0;
  }

  // Whoever sees the order sees this: neither the size nor the digest of hidden data is for them.
  #mismatch(how: string): PlatformError {
    this.#restart();
    const { server, name } = this.#source;
    return new PlatformError('digest_mismatch', `${server} served ${name} ${how}.`);
  }
}

/** What is left of pieces behind so many bytes of them. */
function after(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    if (left < piece.byteLength) rest.push(piece.subarray(left));
    left = Math.max(0, left - piece.byteLength);
  }
  return rest;
}

/** A thing on storage as a sentence names it: `data 6c7a2f5e-…`. */
export function nameOf({ type, uuid }: BlobName): string {
  return `${type} ${uuid}`;
}
