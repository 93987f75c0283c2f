import { createHash } from 'node:crypto';
import { constants as fs } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, constants as zlib } from 'node:zlib';
import { PlatformError } from '@morpheo/common';
import type { Pack } from 'tar-stream';
import { writeAndDrain } from './drain.ts';
import { tarBytes } from './tar-bytes.ts';

/** A file to pack: its path relative to the folder, and its size in bytes. */
export interface PackedFile {
  readonly path: string;
  readonly size: number;
}

/** What {@link packFolder} wrote. */
export interface PackedArchive {
  /** SHA-256 of the archive, as 64 hexadecimal digits, computed while it was written. */
  readonly sha256: string;
  /** Of the archive, in bytes. */
  readonly size: number;
}

/** What is packed, where it goes, and until when. */
export interface PackOptions {
  /** The files to pack, as `collectTree` found them. Nothing else of the folder is read. */
  readonly files: readonly PackedFile[];
  /** The `.tar.gz` to make; must not exist yet. */
  readonly target: string;
  readonly signal: AbortSignal;
}

/**
 * Packs files of a folder into a `.tar.gz`, as the container contract has a model: entries relative to the folder,
 * mode 0664, no folder entries. The same files give the same bytes: sorted by name, no times, no owners.
 *
 * Throws `disk_full` where this machine has no room, `internal` where a file is not what it was when it was
 * collected, and the signal's reason on an abort. In each of these cases the target is gone again.
 */
export async function packFolder(folder: string, options: PackOptions): Promise<PackedArchive> {
  const { target, signal } = options;
  signal.throwIfAborted();
  const hash = createHash('sha256');
  let size = 0;
  async function* counted(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      hash.update(chunk);
      size += chunk.byteLength;
      yield chunk;
    }
  }
  await using output = await open(target, 'wx');
  try {
    // Weights hardly compress: a higher level costs minutes and gains little.
    const gzip = createGzip({ level: zlib.Z_BEST_SPEED });
    await pipeline(tarOf(folder, options.files), gzip, counted, output.createWriteStream(), { signal });
  } catch (error) {
    await rm(target, { force: true });
    signal.throwIfAborted();
    throw named(error);
  }
  return { sha256: hash.digest('hex'), size };
}

function tarOf(folder: string, files: readonly PackedFile[]): AsyncGenerator<Uint8Array> {
  return tarBytes(async (tar) => await fill(tar, folder, files));
}

async function fill(tar: Pack, folder: string, files: readonly PackedFile[]): Promise<void> {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (const file of sorted) await addFile(tar, join(folder, file.path), file);
  tar.finalize();
}

async function addFile(tar: Pack, path: string, { path: name, size }: PackedFile): Promise<void> {
  await using file = await open(path, fs.O_RDONLY | fs.O_NOFOLLOW | fs.O_NONBLOCK);
  const stats = await file.stat();
  if (!stats.isFile() || stats.size !== size) throw changed(name);
  const { promise: packed, resolve, reject } = Promise.withResolvers<void>();
  const header = { name, size, mode: 0o664, mtime: new Date(0), uid: 0, gid: 0 };
  const sink = tar.entry(header, (error) => (error ? reject(error) : resolve()));
  sink.once('error', reject);
  packed.catch(() => undefined);
  let left = size;
  // Never more than was promised in the header, should the file grow meanwhile.
  for await (const chunk of file.createReadStream({ autoClose: false, end: Math.max(size - 1, 0) })) {
    left -= chunk.byteLength;
    if (left < 0 || !(await writeAndDrain(sink, chunk))) break;
  }
  if (left !== 0) throw changed(name);
  sink.end(undefined);
  await packed;
}

function changed(name: string): PlatformError {
  return new PlatformError('internal', `The file ${name} changed while it was packed.`);
}

function named(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new PlatformError('disk_full', 'The disk of the worker has no room to pack a model.', {
    cause: error,
  });
}
