import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '@morpheo/common';

/**
 * What lies behind so many bytes of a file is written and read past the system's cache (`O_DIRECT`), where the disk can:
 * to make room there for bytes that come once, and go once to each worker, costs more than all else that is done with
 * them. What comes before stays in the cache, and so do all small blobs.
 */
export const DIRECT_FROM_BYTES = 16 * 1024 * 1024;
/** Positions, sizes and memory of such calls are multiples of this: the largest block of usual disks. */
const ALIGNMENT = 4096;

/** Memory that is fit for a {@link DirectFile}, if its size is a multiple of 4 KiB; what is in it is undefined. */
export function pagesOf(bytes: number): Uint8Array<ArrayBuffer> {
  // That of a buffer that might be resized begins with a page of the machine, which no other memory of Node does.
  return new Uint8Array(new ArrayBuffer(bytes, { maxByteLength: bytes }), 0, bytes);
}

/** Moves bytes of an open file past the system's cache, as far as that can be. */
export class DirectFile implements AsyncDisposable {
  readonly #of: FileHandle;
  readonly #access: number;
  #handle: FileHandle | null | undefined;

  /** `of` is the open file, and may have lost its name. */
  constructor(of: FileHandle, access: 'read' | 'write') {
    this.#of = of;
    this.#access = access === 'read' ? constants.O_RDONLY : constants.O_WRONLY;
  }

  /**
   * Writes the first `bytes` bytes of some memory at a position, and says how many those were: 0 where the file system
   * does not do that, or the bytes do not fit it, so that they go the usual way. Throws what the disk throws.
   */
  async write(memory: Uint8Array, bytes: number, position: number): Promise<number> {
    return await this.#move(bytes, position, async (handle) => {
      const { bytesWritten } = await handle.write(memory, 0, bytes, position);
      return bytesWritten;
    });
  }

  /** Fills the first `bytes` bytes of some memory from a position on; else as {@link write}. At the end it is less. */
  async read(memory: Uint8Array, bytes: number, position: number): Promise<number> {
    return await this.#move(bytes, position, async (handle) => {
      const { bytesRead } = await handle.read(memory, 0, bytes, position);
      return bytesRead;
    });
  }

  async #move(bytes: number, at: number, work: (handle: FileHandle) => Promise<number>): Promise<number> {
    if (at < DIRECT_FROM_BYTES || at % ALIGNMENT !== 0 || bytes % ALIGNMENT !== 0) return 0;
    if (this.#handle === undefined) this.#handle = await this.#open();
    if (this.#handle === null) return 0;
    try {
      return await work(this.#handle);
    } catch (error) {
      if (errnoOf(error) !== 'EINVAL') throw error;
      await this[Symbol.asyncDispose]();
      return 0;
    }
  }

  /** Null where it cannot be, for whatever reason. */
  async #open(): Promise<FileHandle | null> {
    // Elsewhere than on Linux there is no such flag.
    const flag: number | undefined = constants.O_DIRECT;
    if (flag === undefined) return null;
    return await open(`/proc/self/fd/${this.#of.fd}`, this.#access | flag).catch(() => null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}
