import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { pathProblem, shownPath, type TreeLimits } from '../tree-limits.ts';
import { ArchiveError } from './archive-error.ts';
import { ArchiveReader, type TarEntry } from './read.ts';

/** What {@link unpackArchive} wrote. */
export interface Unpacked {
  /** Regular files. */
  readonly files: number;
  /** Of these files together. */
  readonly bytes: number;
}

/**
 * Unpacks a `.tar.gz` of hostile origin into `folder`, which must not exist and is made. Holds regular files and
 * folders only; of their modes the executable bit is kept. Everything is bounded by `limits`, also the work that an
 * archive of nothing but headers asks for.
 *
 * Throws {@link ArchiveError} with a sentence that names the entry where the archive is not what it should be, what
 * `source` throws, `disk_full` where this machine has no room, and the signal's reason on an abort. In each of these
 * cases the folder is gone again.
 */
export async function unpackArchive(
  source: AsyncIterable<Uint8Array>,
  folder: string,
  limits: TreeLimits,
  signal: AbortSignal,
): Promise<Unpacked> {
  signal.throwIfAborted();
  await mkdir(folder, { mode: 0o755 });
  try {
    const tree = new TreeWriter(folder, limits);
    for await (const entry of new ArchiveReader(source).entries(signal)) await tree.add(entry);
    if (tree.isEmpty) throw new ArchiveError('The archive is empty.');
    return tree.unpacked;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    signal.throwIfAborted();
    throw error;
  }
}

/** Writes entries below a fresh folder. As it makes no link, a path that has no `..` cannot leave the folder. */
class TreeWriter {
  readonly #folder: string;
  readonly #limits: TreeLimits;
  readonly #folders = new Set<string>();
  readonly #files = new Set<string>();
  #bytes = 0;

  constructor(folder: string, limits: TreeLimits) {
    this.#folder = folder;
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#folders.size + this.#files.size === 0;
  }

  get unpacked(): Unpacked {
    return { files: this.#files.size, bytes: this.#bytes };
  }

  async add(entry: TarEntry): Promise<void> {
    const { name, type, size } = entry.header;
    const path = this.#checkedPath(name);
    if (type === 'directory') {
      if (size > 0)
        throw new ArchiveError(`The entry ${shownPath(name)} is a folder that claims to have bytes.`, name);
      if (path !== '') await this.#makeFolder(path);
    } else if (type === 'file' || type === 'contiguous-file') {
      await this.#writeFile(path, entry);
    } else {
      const kind = type ?? 'of an unknown kind';
      const what = `The entry ${shownPath(name)} is neither a file nor a folder (${kind}): links and devices are refused.`;
      throw new ArchiveError(what, name);
    }
  }

  /** The entry's name without `./`, empty parts and a slash at its end; empty for the root folder itself. */
  #checkedPath(name: string): string {
    const absolute = name.startsWith('/') ? '/' : '';
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    const path = absolute + parts.join('/');
    const problem = path === '' ? undefined : pathProblem(path, this.#limits);
    if (problem !== undefined) throw new ArchiveError(`The entry ${shownPath(name)} ${problem}.`, name);
    return path;
  }

  async #makeFolder(path: string): Promise<void> {
    if (this.#folders.has(path)) return;
    await this.#makeParents(path);
    this.#claim(path);
    this.#folders.add(path);
    await onDisk(mkdir(join(this.#folder, path), { mode: 0o755 }), path);
  }

  async #makeParents(path: string): Promise<void> {
    const slash = path.lastIndexOf('/');
    if (slash > 0) await this.#makeFolder(path.slice(0, slash));
  }

  async #writeFile(path: string, entry: TarEntry): Promise<void> {
    const { name, size, mode } = entry.header;
    if (path === '') throw new ArchiveError('The archive has a file without a name.', name);
    await this.#makeParents(path);
    this.#claim(path);
    if (this.#folders.has(path))
      throw new ArchiveError(`The entry ${shownPath(name)} is a folder and a file.`, name);
    this.#bytes += size;
    if (this.#bytes > this.#limits.bytes) {
      throw new ArchiveError(`The archive unpacks to more than ${this.#limits.bytes} bytes.`, name);
    }
    this.#files.add(path);
    const executable = (mode & 0o111) !== 0;
    await onDisk(writeNew(join(this.#folder, path), executable ? 0o755 : 0o644, entry), path);
  }

  #claim(path: string): void {
    if (this.#files.has(path))
      throw new ArchiveError(`The entry ${shownPath(path)} stands twice in the archive.`, path);
    if (this.#files.size + this.#folders.size < this.#limits.files) return;
    throw new ArchiveError(`The archive has more than ${this.#limits.files} files and folders.`, path);
  }
}

async function writeNew(path: string, mode: number, entry: TarEntry): Promise<void> {
  await using file = await open(path, 'wx', mode);
  await file.writeFile(entry.bytes());
}

/** Tells the disk's own failures from the archive's. */
async function onDisk(written: Promise<unknown>, path: string): Promise<void> {
  try {
    await written;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EEXIST')
      throw new ArchiveError(`The entry ${shownPath(path)} stands twice in the archive.`, path);
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new PlatformError('disk_full', 'The disk of the worker has no room to unpack an archive.', {
      cause: error,
    });
  }
}
