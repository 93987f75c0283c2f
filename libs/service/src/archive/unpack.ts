import { constants } from 'node:fs';
import { copyFile, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, isDiskFull, PlatformError } from '@morpheo/common';
import { ArchiveError } from './header.ts';
import { type ArchivedEntry, ArchiveReader } from './read.ts';
import { pathProblem, shownPath, type TreeLimits } from './tree-limits.ts';

/** What {@link unpackArchive} wrote. */
export interface Unpacked {
  /** Regular files. */
  readonly files: number;
  /** Of these files together. */
  readonly bytes: number;
}

/** What of {@link unpackArchive} may be chosen. */
export interface UnpackOptions {
  /** False: it is a plain `.tar`. */
  readonly compressed?: boolean | undefined;
  /** True: there may be nothing in it. */
  readonly empty?: boolean | undefined;
}

/**
 * Unpacks a `.tar.gz`, or a `.tar`, of hostile origin into `folder`, which must not exist and is made. Holds regular files and
 * folders only; of their modes the executable bit is kept. A hard link, which tar makes of a file of several names, becomes
 * a copy of that file. Everything is bounded by `limits`, also the work that an
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
  { compressed = true, empty = false }: UnpackOptions = {},
): Promise<Unpacked> {
  signal.throwIfAborted();
  await mkdir(folder, { mode: 0o755 });
  try {
    const tree = new TreeWriter(folder, limits);
    for await (const entry of new ArchiveReader(source, compressed).entries(signal)) await tree.add(entry);
    if (tree.isEmpty && !empty) throw new ArchiveError('The archive is empty.');
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
  /** With their sizes. */
  readonly #files = new Map<string, number>();
  /** Entries that made nothing: folders that were there already. */
  #repeated = 0;
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

  async add(entry: ArchivedEntry): Promise<void> {
    const { name, kind, size } = entry.header;
    const path = kind === 'folder' && isRoot(name) ? '' : this.#checkedPath(name);
    if (kind === 'folder') {
      if (path === '' || this.#folders.has(path)) this.#repeat(name);
      else await this.#makeFolder(path);
    } else if (kind === 'file') {
      await this.#makeFile(path, name, size, () => writeNew(this.#at(path), entry));
    } else if (kind === 'hard link') {
      await this.#copyFile(path, entry);
    } else {
      const message = `The entry ${shownPath(name)} is neither a file nor a folder (${kind}): links and devices are refused. tar -h packs what a link leads to.`;
      throw new ArchiveError(message, name);
    }
  }

  #at(path: string): string {
    return join(this.#folder, path);
  }

  #repeat(name: string): void {
    this.#repeated += 1;
    if (this.#repeated > this.#limits.files)
      throw new ArchiveError('The archive has too many entries of one folder.', name);
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
    await onDisk(mkdir(this.#at(path), { mode: 0o755 }), path);
  }

  async #makeParents(path: string): Promise<void> {
    const slash = path.lastIndexOf('/');
    if (slash > 0) await this.#makeFolder(path.slice(0, slash));
  }

  /** tar makes a hard link of a file whose bytes it has packed under another name. */
  async #copyFile(path: string, { header: { name, link } }: ArchivedEntry): Promise<void> {
    const of = this.#checkedPath(link);
    const size = this.#files.get(of);
    if (size === undefined) {
      const message = `The entry ${shownPath(name)} is a hard link to ${shownPath(link)}, which is no file that stands before it in the archive.`;
      throw new ArchiveError(message, name);
    }
    await this.#makeFile(path, name, size, () =>
      copyFile(this.#at(of), this.#at(path), constants.COPYFILE_EXCL),
    );
  }

  async #makeFile(path: string, name: string, size: number, write: () => Promise<void>): Promise<void> {
    if (path === '') throw new ArchiveError('The archive has a file without a name.', name);
    await this.#makeParents(path);
    this.#claim(path);
    if (this.#folders.has(path))
      throw new ArchiveError(`The entry ${shownPath(name)} is a folder and a file.`, name);
    this.#bytes += size;
    if (this.#bytes > this.#limits.bytes) {
      throw new ArchiveError(`The archive unpacks to more than ${this.#limits.bytes} bytes.`, name);
    }
    this.#files.set(path, size);
    await onDisk(write(), path);
  }

  #claim(path: string): void {
    if (this.#files.has(path)) throw twice(path);
    if (this.#files.size + this.#folders.size < this.#limits.files) return;
    throw new ArchiveError(`The archive has more than ${this.#limits.files} files and folders.`, path);
  }
}

/** The folder that is packed itself: `.` and `./`, from Python also `/` or nothing. */
function isRoot(name: string): boolean {
  return name.split('/').every((part) => part === '' || part === '.');
}

async function writeNew(path: string, entry: ArchivedEntry): Promise<void> {
  await using file = await open(path, 'wx', entry.header.executable ? 0o755 : 0o644);
  await file.writeFile(entry.bytes());
}

/** Tells the disk's own failures from the archive's. */
async function onDisk(written: Promise<unknown>, path: string): Promise<void> {
  try {
    await written;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw twice(path);
    throwIfDiskFull(error, 'to unpack an archive');
    throw error;
  }
}

function twice(path: string): ArchiveError {
  return new ArchiveError(`The entry ${shownPath(path)} stands twice in the archive.`, path);
}

/** Throws `disk_full` for an error of a disk that has no room for something, such as `to unpack an archive`. */
export function throwIfDiskFull(error: unknown, purpose: string): void {
  if (!isDiskFull(error)) return;
  const message = `The disk has no room ${purpose}.`;
  throw new PlatformError('disk_full', message, { cause: error });
}
