import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { checkLimit, checkPromised, type ReceiveOptions, type StoredBlob } from '../blob-store.ts';

/** How much is handed to the disk at once: large enough that calls do not count, small enough to stay unnoticed. */
const BLOCK_BYTES = 512 * 1024;
/** After so much the disk is told to begin, so that the last sync finds little left to do. */
const SYNC_BYTES = 16 * 1024 * 1024;

/**
 * Writes `source` into the new file `path`, digesting it on the way, and syncs it: what is returned is on disk.
 * Two blocks of memory are all it takes: while one is being written the other is filled.
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
    options.release?.(piece);
  }
  const blob = { digest: await writer.end(), size };
  checkPromised(blob, options);
  await handle.datasync();
  return blob;
}

/** Fills one block of memory with bytes while the one before it is being written. */
class BlockWriter {
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  #block: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #spare: Buffer<ArrayBuffer> | undefined;
  #filled = 0;
  #unsynced = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Takes a copy of a piece; throws where a write before it failed. */
  async write(piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.byteLength; ) {
      const part = piece.subarray(done, done + BLOCK_BYTES - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.byteLength;
      done += part.byteLength;
      if (this.#filled === BLOCK_BYTES) await this.#flush();
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
    this.#writing = writeAll(this.#handle, bytes);
    this.#writing.catch(() => {});
    this.#unsynced += this.#filled;
    this.#filled = 0;
    // The write before is through, so its block is free.
    const free = this.#spare ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.#spare = this.#block;
    this.#block = free;
    if (this.#unsynced >= SYNC_BYTES) await this.#beginSync();
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
  }
}

/** A disk may take less than it is given, most of all when it is nearly full; the next try then says why. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) done += (await handle.write(bytes, done)).bytesWritten;
}
