import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { type Pack, pack } from 'tar-stream';
import { CliError, usageError } from '../exit-codes.ts';
import type { FileToPack } from './list-files.ts';

const PLAIN = 0o644;
const EXECUTABLE = 0o755;

/**
 * Writes files of a folder as a `.tar.gz`. The same files give the same bytes: times, owners and rights that differ
 * from machine to machine are left out. Folders are implied by the files in them; empty ones are not kept.
 * Throws a `CliError` where a file cannot be read or changes meanwhile, and the signal's reason on an abort.
 */
export async function packFolder(
  folder: string,
  files: readonly FileToPack[],
  archive: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await pipeline(tarOf(folder, files), createGzip(), createWriteStream(archive, { mode: 0o600 }), {
      signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof CliError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw usageError(
      `${folder} could not be packed: ${reason}`,
      'Is there room in the folder for temporary files?',
      cause,
    );
  }
}

async function* tarOf(folder: string, files: readonly FileToPack[]): AsyncGenerator<Uint8Array> {
  const tar = pack();
  let fault: unknown;
  const filled = fill(tar, folder, files).catch((error: unknown) => {
    fault = error;
    tar.destroy();
  });
  try {
    for await (const chunk of tar) yield chunk as Uint8Array;
  } catch (error) {
    throw fault ?? error;
  } finally {
    tar.destroy();
    await filled;
  }
}

async function fill(tar: Pack, folder: string, files: readonly FileToPack[]): Promise<void> {
  for (const file of files) await addFile(tar, folder, file);
  tar.finalize();
}

async function addFile(tar: Pack, folder: string, { name, size, executable }: FileToPack): Promise<void> {
  const { promise: packed, resolve, reject } = Promise.withResolvers<void>();
  const mode = executable ? EXECUTABLE : PLAIN;
  const header = { name, size, mode, mtime: new Date(0), uid: 0, gid: 0 };
  const entry = tar.entry(header, (error) => (error ? reject(error) : resolve()));
  // It is awaited below; until then a rejection must not count as one that nobody hears.
  packed.catch(() => {});
  let left = size;
  for await (const chunk of chunksOf(join(folder, name))) {
    left -= chunk.byteLength;
    if (left < 0) break;
    if (!entry.write(chunk)) {
      const { promise: drained, resolve: go } = Promise.withResolvers<void>();
      entry.once('drain', go);
      await Promise.race([drained, packed]);
    }
  }
  if (left !== 0) throw usageError(`${join(folder, name)} changed while it was packed.`, 'Try again.');
  entry.end(undefined);
  await packed;
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw usageError(
      `${path} cannot be read: ${reason}`,
      'Let your user read it, or name it in .dockerignore.',
      cause,
    );
  }
}
