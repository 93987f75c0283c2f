import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { checkLimit, checkPromised, type ReceiveOptions, type StoredBlob } from '../blob-store.ts';
import { DirectFile, pagesOf } from './direct.ts';

/** How much is handed to the disk at once: large enough that calls do not count, small enough to stay unnoticed. */
const BLOCK_BYTES = 1024 * 1024;
/** The first block: most blobs are small. */
const FIRST_BYTES = 64 * 1024;
/** After so much the disk is told to begin, so that the last sync finds little left to do. */
const SYNC_BYTES = 16 * 1024 * 1024;

/**
 * Writes `source` into the new file `path`, digesting it on the way, and syncs it: what is returned is on disk.
 * Two blocks of memory are all it takes: while one is being written the other is filled. What lies far into a large
 * file goes past the system's cache; see {@link DirectFile}.
 * Throws `too_large` and `digest_mismatch` as `options` ask, the source's error, or the disk's. The file is closed,
 * and left to the caller, in every case.
 */
export async function writeStagedFile(
  path: string,
  source: AsyncIterable<Uint8Array>,
  options: ReceiveOptions,
): Promise<StoredBlob> {
  await using handle = await open(path, 'wx', 0o640);
  await using writer = new BlockWriter(handle);
  let size = 0;
  for await (const piece of source) {
    size += piece.byteLength;
    checkLimit(size, options);
    await writer.write(piece);
  }
  const blob = { digest: await writer.end(), size };
  checkPromised(blob, options);
  await handle.datasync();
  return blob;
}

/** Fills one block of memory with bytes while the one before it is being written. */
class BlockWriter {
  readonly #handle: FileHandle;
  readonly #direct: DirectFile;
  readonly #hash = createHash('sha256');
  #block: Uint8Array<ArrayBuffer> = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;
  /** Where in the file the block belongs. */
  #position = 0;
  #unsynced = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle) {
    this.#handle = handle;
    this.#direct = new DirectFile(handle, 'write');
  }

  /** Takes a copy of a piece; throws where a write before it failed. */
  async write(piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.byteLength; ) {
      const part = piece.subarray(done, done + this.#block.byteLength - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.byteLength;
      done += part.byteLength;
      if (this.#filled === this.#block.byteLength) await this.#flush();
    }
  }

  /** Writes the rest; resolves with the SHA-256 of all bytes when nothing is under way any more. */
  async end(): Promise<string> {
    await this.#flush();
    await Promise.all([this.#writing, this.#syncing]);
    return this.#hash.digest('hex');
  }

  async #flush(): Promise<void> {
    const bytes = this.#block.subarray(0, this.#filled);
    this.#hash.update(bytes);
    await this.#writing;
    this.#writing = this.#put(bytes, this.#position);
    this.#writing.catch(() => {});
    this.#position += this.#filled;
    this.#filled = 0;
    // The write before is through, so its block is free.
    const before = this.#block;
    this.#block = this.#spare ?? pagesOf(BLOCK_BYTES);
    this.#spare = before.byteLength === BLOCK_BYTES ? before : undefined;
    if (this.#unsynced >= SYNC_BYTES) await this.#beginSync();
  }

  /** Past the system's cache, where that can be: then there is nothing to sync of it. */
  async #put(bytes: Uint8Array, position: number): Promise<void> {
    const done = await this.#direct.write(bytes, bytes.byteLength, position);
    await writeAll(this.#handle, bytes.subarray(done), position + done);
    this.#unsynced += bytes.byteLength - done;
  }

  async #beginSync(): Promise<void> {
    await this.#syncing;
    this.#unsynced = 0;
    this.#syncing = this.#handle.datasync();
    this.#syncing.catch(() => {});
  }

  /** Waits for what is under way, so that the file may be closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#writing, this.#syncing]);
    await this.#direct[Symbol.asyncDispose]();
    for (const { buffer } of [this.#block, this.#spare ?? this.#block])
      if (!buffer.detached) buffer.transfer(0);
  }
}

/** A disk may take less than it is given, most of all when it is nearly full; the next try then says why. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; )
    done += (await handle.write(bytes, done, bytes.byteLength - done, at + done)).bytesWritten;
}
