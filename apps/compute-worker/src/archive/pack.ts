import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, constants as zlib } from 'node:zlib';
import { fileEntry, type TarEntry, tarOf, throwIfDiskFull } from '@morpheo/service/archive';

/** A file to pack: its path relative to the folder, its size in bytes, and whether it may be executed. */
export interface PackedFile {
  readonly path: string;
  readonly size: number;
  /** Not where absent. */
  readonly executable?: boolean;
}

/** What {@link packFolder} wrote. */
export interface PackedArchive {
  /** SHA-256 of the archive, as 64 hexadecimal digits, computed while it was written. */
  readonly sha256: string;
  /** Of the archive, in bytes. */
  readonly size: number;
}

/** How much of an archive may wait to be written. */
const WRITE_BYTES = 1024 * 1024;

/** What is packed, where it goes, and until when. */
export interface PackOptions {
  /** The files to pack, as `collectTree` found them. Nothing else of the folder is read. */
  readonly files: readonly PackedFile[];
  /** Paths of folders that get entries of their own; none where absent. */
  readonly folders?: readonly string[];
  /** False: a plain `.tar` is made. */
  readonly compressed?: boolean;
  /** The archive to make; must not exist yet. */
  readonly target: string;
  readonly signal: AbortSignal;
}

/**
 * Packs files of a folder into a `.tar.gz`, or a plain `.tar`, as the container contract has a model: entries relative to the folder,
 * mode 0664, or 0775 for what may be executed, no folder entries that are not asked for. The same files give the same bytes: sorted by name, no times, no owners.
 *
 * Throws `disk_full` where this machine has no room, `internal` where a file is not what it was when it was
 * collected, and the signal's reason on an abort. In each of these cases the target is gone again.
 */
export async function packFolder(folder: string, options: PackOptions): Promise<PackedArchive> {
  return await writeArchive(tarOf(entriesOf(folder, options)), options);
}

/** Writes a tar archive into a file as {@link packFolder} does, compressed where that is not ruled out. */
export async function writeArchive(
  tar: AsyncIterable<Uint8Array>,
  { target, compressed, signal }: Pick<PackOptions, 'target' | 'compressed' | 'signal'>,
): Promise<PackedArchive> {
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
    const into = output.createWriteStream({ highWaterMark: WRITE_BYTES });
    if (compressed === false) await pipeline(tar, counted, into, { signal });
    // Weights hardly compress: a higher level costs minutes and gains little.
    else await pipeline(tar, createGzip({ level: zlib.Z_BEST_SPEED }), counted, into, { signal });
  } catch (error) {
    await rm(target, { force: true });
    signal.throwIfAborted();
    throwIfDiskFull(error, 'to pack a result');
    throw error;
  }
  return { sha256: hash.digest('hex'), size };
}

async function* entriesOf(
  folder: string,
  { files, folders = [] }: Pick<PackOptions, 'files' | 'folders'>,
): AsyncGenerator<TarEntry> {
  for (const path of folders) yield { name: `${path}/`, type: 'directory', size: 0, mode: 0o775 };
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path, size, executable } of sorted)
    yield* fileEntry(join(folder, path), { name: path, size, mode: executable === true ? 0o775 : 0o664 });
}
