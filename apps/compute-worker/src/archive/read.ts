import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { ArchiveError } from './archive-error.ts';
import { writeAndDrain } from './drain.ts';

/** One entry of an archive; its bytes may be read once, before the next entry is asked for. */
export interface TarEntry {
  readonly header: TarHeader;
  bytes(): AsyncGenerator<Uint8Array>;
}

/** What an entry says about itself; the type is null for kinds that no standard knows. */
export type TarHeader = Pick<Header, 'name' | 'size' | 'mode' | 'linkname'> & {
  readonly type: Header['type'] | null;
};

const BLOCK = 512;
/** An archive is fed to the tar reader in pieces of this size, so that the bounds below are checked in time. */
const PIECE_BYTES = 16 * 1024;
/**
 * Of the extended headers before one entry. Reading them costs the reader time that grows with their number times
 * the size of the global one: without a bound, a few kilobytes of archive keep a processor busy for hours.
 */
const EXTENDED_BYTES = 8 * 1024;
/** Between the end of one entry and the next, or after the last: extended headers, or the zeros of the end. */
const GAP_BYTES = 64 * 1024;

/** Reads the entries of a `.tar.gz` or a plain `.tar`, once, with bounds on all that is not an entry's bytes. */
export class ArchiveReader {
  readonly #tar = extract();
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #compressed: boolean;
  readonly #stop = new AbortController();
  #fed = 0;
  #entryEnd = 0;
  #fault: { readonly error: unknown } | undefined;

  constructor(source: AsyncIterable<Uint8Array>, compressed = true) {
    this.#source = source;
    this.#compressed = compressed;
  }

  /** The entries one by one. Throws {@link ArchiveError}, what the source throws, or the signal's reason. */
  async *entries(signal: AbortSignal): AsyncGenerator<TarEntry> {
    const iterator = this.#tar[Symbol.asyncIterator]();
    const feeding = this.#feed(AbortSignal.any([signal, this.#stop.signal]));
    try {
      for (;;) {
        const next = await this.#naming(iterator.next());
        if (next.done === true) break;
        this.#place(next.value.offset, next.value.header);
        yield { header: next.value.header, bytes: () => this.#bytesOf(next.value) };
      }
    } finally {
      this.#stop.abort();
      this.#tar.destroy();
      await feeding;
    }
  }

  async *#bytesOf(entry: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
    const iterator = entry[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#naming(iterator.next());
      if (next.done === true) return;
      if (next.value instanceof Uint8Array) yield next.value;
    }
  }

  /** What the tar reader throws, as what is behind it: an error of the source, or an archive that is none. */
  async #naming<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading;
    } catch (error) {
      if (this.#fault !== undefined) throw this.#fault.error;
      throw damaged('it is not a tar archive, or not a whole one', error);
    }
  }

  #place(offset: number, header: Header): void {
    if (offset - this.#entryEnd > EXTENDED_BYTES) {
      const what = `The archive has more than ${EXTENDED_BYTES} bytes of headers before one entry.`;
      throw new ArchiveError(what, header.name);
    }
    this.#entryEnd = offset + BLOCK + Math.ceil(header.size / BLOCK) * BLOCK;
  }

  /** Settles, and never rejects, once nothing more is read from the source. */
  async #feed(signal: AbortSignal): Promise<void> {
    try {
      for await (const piece of this.#compressed ? this.#inflate(signal) : this.#plain(signal)) {
        if (this.#fed - this.#entryEnd > GAP_BYTES) {
          throw new ArchiveError(`The archive has more than ${GAP_BYTES} bytes that belong to no entry.`);
        }
        this.#fed += piece.byteLength;
        if (!(await writeAndDrain(this.#tar, piece))) return;
      }
      this.#tar.end(undefined);
    } catch (error) {
      this.#fault = { error: this.#explained(error) };
      this.#tar.destroy(new Error('The archive could not be read to its end'));
    }
  }

  async *#plain(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#source) {
      signal.throwIfAborted();
      yield* pieces(chunk);
    }
  }

  async *#inflate(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const gunzip = createGunzip();
    const inflating = pipeline(this.#source, gunzip, { signal });
    inflating.catch(() => undefined);
    try {
      for await (const chunk of gunzip) yield* pieces(chunk);
    } finally {
      gunzip.destroy();
    }
  }

  #explained(error: unknown): unknown {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!code.startsWith('Z_')) return error;
    if (code === 'Z_BUF_ERROR') return damaged('its end is missing', error);
    return damaged(
      this.#fed === 0 ? 'it is not compressed with gzip' : 'its compressed bytes are broken',
      error,
    );
  }
}

function damaged(what: string, cause: unknown): ArchiveError {
  return new ArchiveError(
    `The archive cannot be read, for ${what}: a .tar.gz is expected.`,
    undefined,
    cause,
  );
}

function* pieces(chunk: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < chunk.byteLength; start += PIECE_BYTES) {
    yield chunk.subarray(start, start + PIECE_BYTES);
  }
}
