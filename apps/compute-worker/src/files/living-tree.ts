import { constants as fs } from 'node:fs';
import { type FileHandle, open, opendir } from 'node:fs/promises';
import { errnoOf } from '@morpheo/common';

/** Something in a folder that a program may be changing, as it was when it was looked at. */
export interface LivingFile {
  /** Relative to the folder; empty for what was asked for itself, where that is a file. */
  readonly path: string;
  /** `other`: a link, a FIFO, a device, or what may not be read. */
  readonly kind: 'file' | 'folder' | 'other';
  /** In bytes; 0 for all but files. */
  readonly size: number;
  readonly executable: boolean;
  /** Changes with what is in the file; empty where nothing but reading tells. */
  readonly stamp: string;
  /** The bytes from there on, as many as `size` says, or fewer if it was cut since. Read before the next is asked for. */
  bytes(from?: number): AsyncIterable<Uint8Array>;
}

/** Deeper folders are told of, and not looked into. */
const DEPTH = 64;
const FOLDER = fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW;
const ANY = fs.O_RDONLY | fs.O_NOFOLLOW | fs.O_NONBLOCK;
/** A name need not be text, and one that is not is no name to go on with. */
const NO_TEXT = '\uFFFD';

/**
 * What stands at a path of a folder that a program writes to meanwhile: a file alone, or all that is in a folder, at any
 * depth; nothing where nothing is there. Every name is opened in the folder that was opened before it and no link is
 * followed, so that whatever the program moves or puts in its place, nothing outside of the folder is read. What goes
 * meanwhile is left out.
 */
export async function* livingTree(root: string, path = ''): AsyncGenerator<LivingFile> {
  const names = path.split('/').filter((name) => name !== '');
  await using handles = new AsyncDisposableStack();
  let at = handles.use(await open(root, FOLDER));
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    const next = await openIn(at, name);
    if (next === undefined) return;
    if (next === 'other') {
      if (isLast) yield other('');
      return;
    }
    handles.use(next);
    const stats = await next.stat();
    if (!stats.isDirectory()) {
      if (isLast) yield await fileOf(next, '');
      return;
    }
    at = next;
  }
  yield* inside(at, '', 1);
}

async function* inside(folder: FileHandle, path: string, depth: number): AsyncGenerator<LivingFile> {
  const names: string[] = [];
  for await (const { name } of await opendir(pathOf(folder), { bufferSize: 256 })) names.push(name);
  for (const name of names.toSorted(byText)) {
    const below = path === '' ? name : `${path}/${name}`;
    const found = name.includes(NO_TEXT) ? ('other' as const) : await openIn(folder, name);
    if (found === undefined) continue;
    if (found === 'other') {
      yield other(below);
      continue;
    }
    await using handle = found;
    const stats = await handle.stat();
    if (!stats.isDirectory()) yield await fileOf(handle, below);
    else {
      yield { ...other(below), kind: 'folder' };
      if (depth < DEPTH) yield* inside(handle, below, depth + 1);
    }
  }
}

/** Opens a name in a folder; undefined where it is not there (any more), `other` for what is neither file nor folder. */
async function openIn(folder: FileHandle, name: string): Promise<FileHandle | 'other' | undefined> {
  try {
    return await open(`${pathOf(folder)}/${name}`, ANY);
  } catch (error) {
    const code = errnoOf(error) ?? '';
    if (code === 'ENOENT') return undefined;
    if (['ELOOP', 'ENXIO', 'EACCES', 'EPERM', 'ENODEV', 'ENAMETOOLONG'].includes(code)) return 'other';
    throw error;
  }
}

function pathOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

async function fileOf(handle: FileHandle, path: string): Promise<LivingFile> {
  const stats = await handle.stat({ bigint: true });
  if (!stats.isFile()) return other(path);
  const size = Number(stats.size);
  return {
    path,
    kind: 'file',
    size,
    executable: (stats.mode & 0o111n) !== 0n,
    stamp: `${stats.ino} ${stats.size} ${stats.mtimeNs}`,
    async *bytes(from = 0) {
      if (from < size) yield* handle.createReadStream({ autoClose: false, start: from, end: size - 1 });
    },
  };
}

function other(path: string): LivingFile {
  return { path, kind: 'other', size: 0, executable: false, stamp: '', async *bytes() {} };
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
