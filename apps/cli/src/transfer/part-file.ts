import { type FileHandle, open } from 'node:fs/promises';
import { CliError, EXIT, messageOf } from '../exit-codes.ts';

/** The file that a download grows in. Every method throws a `CliError` that names it. */
export interface PartFile extends AsyncDisposable {
  /** Takes a copy of bytes; they are in the file by the time that it is synced or disposed. */
  append(chunk: Uint8Array): Promise<void>;
  /** Resolves when the bytes are on disk to stay. */
  sync(): Promise<void>;
}

/** How much is handed to the disk at once: calls do not count then. */
const BLOCK_BYTES = 1024 * 1024;

/** Opens a part to go on after its first `keep` bytes; what it holds beyond them is dropped. */
export async function openPart(path: string, keep: number): Promise<PartFile> {
  const file = await named(path, async () => await open(path, 'a'));
  try {
    await named(path, async () => await file.truncate(keep));
  } catch (error) {
    await file.close();
    throw error;
  }
  const blocks = new Blocks(file);
  return {
    append: async (chunk) => await named(path, async () => await blocks.append(chunk)),
    sync: async () =>
      await named(path, async () => {
        await blocks.flush();
        await file.sync();
      }),
    [Symbol.asyncDispose]: async () => {
      // What came before a cut is kept, as far as the disk takes it.
      await blocks.flush().catch(() => {});
      await file.close();
    },
  };
}

/** Fills one block of memory while the one before it is being written. */
class Blocks {
  readonly #file: FileHandle;
  #block: Buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  #spare: Buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  #filled = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.byteLength; ) {
      const part = chunk.subarray(done, done + BLOCK_BYTES - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.byteLength;
      done += part.byteLength;
      if (this.#filled === BLOCK_BYTES) await this.#turn();
    }
  }

  async flush(): Promise<void> {
    await this.#turn();
    await this.#writing;
  }

  async #turn(): Promise<void> {
    await this.#writing;
    const bytes = this.#block.subarray(0, this.#filled);
    this.#filled = 0;
    [this.#block, this.#spare] = [this.#spare, this.#block];
    this.#writing = writeAll(this.#file, bytes);
    this.#writing.catch(() => {});
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength; ) at += (await file.write(chunk, at)).bytesWritten;
}

async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new CliError(
      EXIT.usage,
      `${path} cannot be written: ${messageOf(cause)}`,
      'Name another file with -o, or make room.',
      cause,
    );
  }
}
