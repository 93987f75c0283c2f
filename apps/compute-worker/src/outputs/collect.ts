import { constants, type Stats } from 'node:fs';
import { access, chmod, type FileHandle, lstat, open, opendir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type End, errnoOf, OrderFailure } from '@morpheo/common';
import { pathProblem, shownPath, type TreeLimits } from '@morpheo/service/archive';

/** A regular file that a container wrote: its path relative to the collected folder, and its size in bytes. */
export interface CollectedFile {
  readonly path: string;
  readonly size: number;
  readonly executable: boolean;
}

/** What {@link collectTree} needs to know beside the folder. */
export interface CollectTreeOptions {
  readonly limits: TreeLimits;
  /** The folder's path inside the container, for messages: the author of the code knows no other. */
  readonly at: string;
  readonly signal?: AbortSignal;
}

/** What {@link collectFile} and {@link openOutput} need to know beside folder and name. */
export interface CollectFileOptions {
  readonly maxBytes: number;
  /** See {@link CollectTreeOptions.at}: of the folder, not of the file. */
  readonly at: string;
}

/** A file that a container wrote, open for reading. Disposing closes it. */
export interface OpenOutput {
  readonly file: FileHandle;
  /** In bytes, as checked against the limit: read no more than this. */
  readonly size: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Lists the regular files below a folder that a container wrote, sorted by path; empty where there are none. Follows
 * no link and opens nothing. To be called only once no process of the run is left.
 *
 * Throws `OrderFailure` that names the file: `invalid_result` for links, FIFOs, sockets, devices, odd names, depth and
 * what may not be read, `disk_full` for too many files or bytes (a sparse file counts as long as it says that it is), and
 * `missing_result` where the folder itself is gone.
 */
export async function collectTree(folder: string, options: CollectTreeOptions): Promise<CollectedFile[]> {
  return (await collectAll(folder, options)).files;
}

/** What {@link collectAll} found: both sorted by path. */
export interface CollectedTree {
  readonly files: CollectedFile[];
  /** Their paths relative to the collected folder. */
  readonly folders: string[];
}

/** As {@link collectTree}, with the folders, also those with nothing in them. */
export async function collectAll(folder: string, options: CollectTreeOptions): Promise<CollectedTree> {
  const { limits, at, signal } = options;
  await demandFolder(folder, at);
  const found: CollectedFile[] = [];
  const folders = [''];
  const inner: string[] = [];
  let entries = 0;
  let bytes = 0;
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    for await (const { name } of await readable(at, inside, opendir(join(folder, inside)))) {
      signal?.throwIfAborted();
      const path = inside === '' ? name : `${inside}/${name}`;
      const stats = await checkedEntry(folder, path, options);
      entries += 1;
      if (entries > limits.files) throw tooMuch(`more than ${limits.files} files and folders`, at, path);
      if (stats.isDirectory()) {
        folders.push(path);
        inner.push(path);
        continue;
      }
      bytes += stats.size;
      if (bytes > limits.bytes) throw tooMuch(`files of more than ${limits.bytes} bytes together`, at, path);
      found.push({ path, size: stats.size, executable: (stats.mode & 0o111) !== 0 });
    }
  }
  return { files: found.sort((a, b) => (a.path < b.path ? -1 : 1)), folders: inner.sort(byText) };
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** Reads one file that a container wrote, whole. Throws what {@link openOutput} throws. */
export async function collectFile(
  folder: string,
  name: string,
  options: CollectFileOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  await using output = await openOutput(folder, name, options);
  const bytes = new Uint8Array(output.size);
  let length = 0;
  while (length < bytes.byteLength) {
    const { bytesRead } = await output.file.read(bytes, length, bytes.byteLength - length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/**
 * Opens one file that a container wrote, `name` being its path relative to the folder. No link is followed on the
 * way, and nothing that is opened can block. To be called only once no process of the run is left.
 *
 * Throws `OrderFailure` that names the file: `missing_result` where it is not there, `invalid_result` where it, or a
 * folder on its way, is something else than it should be, `disk_full` where it is larger than `maxBytes`.
 */
export async function openOutput(
  folder: string,
  name: string,
  options: CollectFileOptions,
): Promise<OpenOutput> {
  const { at, maxBytes } = options;
  await demandFolder(folder, at);
  const parents = name.split('/').slice(0, -1);
  for (let depth = 1; depth <= parents.length; depth += 1) {
    const parent = parents.slice(0, depth).join('/');
    await demandFolder(join(folder, parent), `${at}/${parent}`);
  }
  const where = `${at}/${name}`;
  const file = await openPlainly(join(folder, name), where);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw failed('output_not_a_file', where, `is ${kindOf(stats)}, not a regular file`);
    if (stats.size > maxBytes)
      throw failed('output_too_large', where, `has more than the ${maxBytes} bytes that it may have`);
    return { file, size: stats.size, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Moves a collected file to `target`, whose folder is there; whoever may read that folder may read it then. Throws
 * `OrderFailure` with `invalid_result` where its owner and mode forbid that.
 */
export async function takeFile(folder: string, name: string, at: string, target: string): Promise<void> {
  try {
    await chmod(join(folder, name), 0o644);
    await rename(join(folder, name), target);
  } catch (error) {
    if (['EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) throw unreadable(`${at}/${name}`, error);
    throw error;
  }
}

async function openPlainly(path: string, where: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw failed('output_missing', where, 'was not written');
    if (code === 'ELOOP') throw failed('output_not_a_file', where, 'is a link, not a regular file');
    if (code === 'ENXIO')
      throw failed('output_not_a_file', where, 'is a socket or a device, not a regular file');
    if (code === 'EACCES') throw unreadable(where, error);
    throw error;
  }
}

async function checkedEntry(
  folder: string,
  path: string,
  { limits, at }: CollectTreeOptions,
): Promise<Stats> {
  const where = `${at}/${path}`;
  const problem = pathProblem(path, limits);
  if (problem !== undefined) throw failed('output_not_a_file', where, problem);
  const stats = await readable(at, path, lstat(join(folder, path)));
  if (stats.isFile() && stats.uid !== process.getuid?.()) {
    // Of somebody else, the mode alone does not say whether it may be read.
    await readable(at, path, access(join(folder, path), constants.R_OK));
  }
  if (stats.isFile() || stats.isDirectory()) return stats;
  throw failed('output_not_a_file', where, `is ${kindOf(stats)}: only regular files and folders are taken`);
}

async function demandFolder(path: string, where: string): Promise<void> {
  try {
    const stats = await lstat(path);
    if (stats.isDirectory()) return;
    throw failed('output_not_a_file', where, `is ${kindOf(stats)}, not a folder`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw failed('output_folder_removed', where, 'is not there any more');
    if (errnoOf(error) === 'EACCES') throw unreadable(where, error);
    throw error;
  }
}

async function readable<T>(at: string, path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (errnoOf(error) === 'EACCES') throw unreadable(path === '' ? at : `${at}/${path}`, error);
    throw error;
  }
}

/** What the worker owns has been opened to it (see `openTree`): this is somebody else's. */
function unreadable(where: string, cause: unknown): OrderFailure {
  return failed(
    'output_unreadable',
    where,
    'may not be read or moved: its owner and its mode forbid it',
    cause,
  );
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a link';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  if (stats.isDirectory()) return 'a folder';
  return stats.isFile() ? 'a file' : 'a device';
}

function tooMuch(what: string, at: string, path: string): OrderFailure {
  return failed('output_too_large', at, `holds ${what}; the entry ${shownPath(path)} is over it`);
}

function failed(end: End, where: string, what: string, cause?: unknown): OrderFailure {
  const file = shownPath(where);
  return new OrderFailure(end, { message: `${file} ${what}.`, file }, cause);
}
