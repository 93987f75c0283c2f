import { type FileHandle, open } from 'node:fs/promises';
import { CliError, EXIT } from '../exit-codes.ts';

/** The file that a download grows in. Every method throws a `CliError` that names it. */
export interface PartFile {
  append(chunk: Uint8Array): Promise<void>;
  /** Resolves when the bytes are on disk to stay. */
  sync(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a part to go on after its first `keep` bytes; what it holds beyond them is dropped. */
export async function openPart(path: string, keep: number): Promise<PartFile> {
  const file = await named(path, async () => await open(path, 'a'));
  try {
    await named(path, async () => await file.truncate(keep));
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    append: async (chunk) => await named(path, async () => await writeAll(file, chunk)),
    sync: async () => await named(path, async () => await file.sync()),
    [Symbol.asyncDispose]: async () => await file.close(),
  };
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength; ) at += (await file.write(chunk, at)).bytesWritten;
}

async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(
      EXIT.usage,
      `${path} cannot be written: ${reason}`,
      'Name another file with -o, or make room.',
      cause,
    );
  }
}
