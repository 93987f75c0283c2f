import type { FileHandle } from 'node:fs/promises';
import { DirectFile, pagesOf } from './direct.ts';

/** How much is handed to the disk at once: large enough that calls do not count, small enough to stay unnoticed. */
const BLOCK_BYTES = 1024 * 1024;
/** The first block: most blobs are small. */
const FIRST_BYTES = 64 * 1024;
/** After so much the disk is told to begin, so that the last sync finds little left to do. */
const SYNC_BYTES = 16 * 1024 * 1024;

const NOTHING = new Uint8Array(0);

/**
 * Writes bytes into a file, from a position on: fills one block of memory while the one before it is being written. What
 * lies far into a large file goes past the system's cache; see {@link DirectFile}.
 */
export class BlockWriter implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #direct: DirectFile;
  readonly #look: (bytes: Uint8Array) => void;
  #block: Uint8Array<ArrayBuffer> = NOTHING;
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;
  /** Where in the file the block belongs. */
  #position: number;
  #unsynced = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  /** `look` is shown all bytes in their order, many at once. */
  constructor(handle: FileHandle, position: number, look: (bytes: Uint8Array) => void) {
    this.#handle = handle;
    this.#position = position;
    this.#look = look;
    this.#direct = new DirectFile(handle, 'write');
  }

  /** Takes a copy of a piece; throws where a write before it failed. */
  async write(piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.byteLength; ) {
      if (this.#block.byteLength < BLOCK_BYTES && this.#filled === 0) this.#block = this.#nextBlock();
      const part = piece.subarray(done, done + this.#block.byteLength - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.byteLength;
      done += part.byteLength;
      if (this.#filled === this.#block.byteLength) await this.#flush();
    }
  }

  /** Writes what came, and resolves when nothing is under way any more: then it can be synced. */
  async flush(): Promise<void> {
    await this.#flush();
    await this.settled();
  }

  /** So many bytes of the file were handed to the disk. */
  get position(): number {
    return this.#position;
  }

  /** Resolves when what was handed to the disk is written: then it can be synced. */
  async settled(): Promise<void> {
    await Promise.all([this.#writing, this.#syncing]);
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return;
    const bytes = this.#block.subarray(0, this.#filled);
    this.#look(bytes);
    await this.#writing;
    this.#writing = this.#put(bytes, this.#position);
    this.#writing.catch(() => {});
    this.#position += this.#filled;
    this.#filled = 0;
    // The write before is through, so its block is free.
    const free = this.#spare;
    this.#spare = this.#block;
    this.#block = free ?? NOTHING;
    if (this.#unsynced >= SYNC_BYTES) await this.#beginSync();
  }

  /** The first is small, since most files are, and ends where others can go past the cache. */
  #nextBlock(): Uint8Array<ArrayBuffer> {
    const isFirst = this.#block === NOTHING && this.#spare === undefined;
    if (isFirst) return Buffer.allocUnsafeSlow(FIRST_BYTES - (this.#position % FIRST_BYTES));
    return pagesOf(BLOCK_BYTES);
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
    // At once, and not when the collector comes round.
    for (const block of [this.#block, this.#spare])
      if (block !== undefined && block !== NOTHING && !block.buffer.detached) block.buffer.transfer(0);
  }
}

/** A disk may take less than it is given, most of all when it is nearly full; the next try then says why. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; )
    done += (await handle.write(bytes, done, bytes.byteLength - done, at + done)).bytesWritten;
}
