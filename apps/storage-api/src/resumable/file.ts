import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type BytesIn, PlatformError } from '@morpheo/common';
import { BlockWriter } from '../blobs/local/block-writer.ts';
import { isMissing, writeError } from '../blobs/local/errors.ts';

/** The algorithms of `Upload-Checksum`; the protocol asks for SHA-1 at least (tus 1.0, "Checksum"). */
export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256'] as const;

/** What the bytes of a chunk have to add up to. */
export interface Checksum {
  readonly hash: Hash;
  /** Throws `checksum_mismatch` where the bytes that `hash` was given are others. */
  check(): void;
}

/** Reads `Upload-Checksum`: an algorithm and a digest in Base64. Throws `invalid_request`. */
export function readChecksum(header: string | undefined): Checksum | undefined {
  if (header === undefined) return undefined;
  const [name, digest = ''] = header.split(' ');
  const algorithm = CHECKSUM_ALGORITHMS.find((one) => one === name);
  if (algorithm === undefined || !/^[\w+/]+=*$/.test(digest)) {
    throw new PlatformError(
      'invalid_request',
      `Upload-Checksum should be ${CHECKSUM_ALGORITHMS.join(' or ')}, a space, and the digest in Base64.`,
    );
  }
  const hash = createHash(algorithm);
  return {
    hash,
    check: () => {
      if (hash.digest('base64') === digest) return;
      throw new PlatformError(
        'checksum_mismatch',
        `The chunk does not have the ${algorithm} that came with it, and was thrown away: send it again.`,
      );
    },
  };
}

/** After so many bytes of one chunk what has come is synced and counted, so that a cut costs no more. */
const COUNT_EVERY_BYTES = 16 * 1024 * 1024;

/** A chunk, and where it belongs. */
export interface Chunk {
  readonly path: string;
  /** So many bytes are there already; what the file holds beyond them is dropped. */
  readonly from: number;
  /** The size that the file will have in the end. */
  readonly end: number;
  readonly body: BytesIn;
  readonly checksum: Checksum | undefined;
  /** Is shown all bytes in their order, before they count; also those of a chunk that then fails. */
  readonly look: (bytes: Uint8Array) => void;
  /** Called with each count of bytes that are on disk to stay. */
  readonly synced: (received: number) => Promise<void>;
}

/**
 * Appends a chunk. `synced` is called once its bytes are on disk, before this resolves, and now and then before, while
 * more is being written; where the body breaks off, of what came before, unless a checksum was promised: then the chunk
 * counts whole or not at all. Throws `too_large` for bytes beyond the end, `checksum_mismatch`, `disk_full`, or the error
 * of the body.
 */
export async function appendChunk(chunk: Chunk): Promise<void> {
  const { path, from, checksum, look } = chunk;
  try {
    await using handle = await openAt(path, from);
    const show = (bytes: Uint8Array) => {
      checksum?.hash.update(bytes);
      look(bytes);
    };
    await using writer = new BlockWriter(handle, from, show);
    await using counter = new Counter(handle, writer, chunk);
    try {
      await writePieces(writer, chunk, counter);
    } catch (error) {
      // What failed is reported all the same; what came before it is not lost where the disk still takes it.
      if (checksum === undefined) await counter.countAll().catch(() => {});
      throw error;
    }
    await writer.flush();
    checksum?.check();
    await counter.countAll();
  } catch (error) {
    throw writeError(error, 'keep the upload');
  }
}

async function writePieces(writer: BlockWriter, chunk: Chunk, counter: Counter): Promise<void> {
  const { body, from, end, checksum } = chunk;
  if ((body.contentLength ?? 0) > end - from) throw tooMuch(end);
  let at = from;
  for await (const piece of body.body) {
    at += piece.byteLength;
    if (at > end) throw tooMuch(end);
    await writer.write(piece);
    if (checksum === undefined) await counter.countSome();
  }
}

/** Syncs what a chunk has brought and has it counted, one after another. */
class Counter implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #writer: BlockWriter;
  readonly #synced: Chunk['synced'];
  #counted: number;
  #counting: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle, writer: BlockWriter, { from, synced }: Chunk) {
    this.#handle = handle;
    this.#writer = writer;
    this.#synced = synced;
    this.#counted = from;
  }

  /** Begins to count where there is enough, while more is written; throws where the count before failed. */
  async countSome(): Promise<void> {
    const { position } = this.#writer;
    if (position - this.#counted < COUNT_EVERY_BYTES) return;
    const written = this.#writer.settled();
    await this.#counting;
    this.#counting = this.#count(position, written);
    this.#counting.catch(() => {});
  }

  /** Counts all that came. */
  async countAll(): Promise<void> {
    await this.#counting;
    const written = this.#writer.flush();
    await written;
    await this.#count(this.#writer.position, written);
  }

  async #count(position: number, written: Promise<void>): Promise<void> {
    if (position === this.#counted) return;
    await written;
    await this.#handle.datasync();
    await this.#synced(position);
    this.#counted = position;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#counting]);
  }
}

/** The size of a file in bytes; 0 where there is none. Throws `unavailable` where its folder cannot be read. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw writeError(error, 'keep the upload');
  }
}

/** Opens the file with exactly its first `size` bytes; at 0 it is made, to stay. */
async function openAt(path: string, size: number): Promise<FileHandle> {
  if (size === 0) await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  const flags = size === 0 ? constants.O_RDWR | constants.O_CREAT : constants.O_RDWR;
  const handle = await open(path, flags, 0o640);
  try {
    await handle.truncate(size);
    if (size === 0) for (const folder of [dirname(path), dirname(dirname(path))]) await syncFolder(folder);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

function tooMuch(end: number): PlatformError {
  return new PlatformError('too_large', `The chunk goes beyond the ${end} bytes that were announced.`, {
    details: { limit: end },
  });
}
