import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  type Dirent,
  fchmodSync,
  constants as fs,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
} from 'node:fs';
import { rmdir, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '@morpheo/common';
import { allOf } from './remove-tree.ts';

/** A folder that lies deeper is moved up before it is looked into: each that is open on the way there counts. */
const DEPTH = 64;
const FOLDER = fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW;
/** Of Linux; Node has no name for it: the folder itself is opened, whatever its mode allows. */
const O_PATH = 0o10000000;
/** A name need not be text: in this encoding each of its bytes is a character. */
const BYTES = { encoding: 'latin1', withFileTypes: true } as const;
/** After so many entries all else has its turn. */
const TURN = 256;
/** How many files are removed at a time. */
const AT_ONCE = 16;

/** A name in an open folder: it leads there whatever has become of the folder's own name, or stands in its place. */
function within(fd: number, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${fd}/${name}`, BYTES.encoding);
}

/**
 * Moves all that is in an open folder to another one, each under a name that nobody can guess; `into` is asked for that once
 * there is something. No link is followed, so that a program that changes the folder meanwhile cannot lead anywhere else.
 * Throws what the file system throws.
 */
export async function moveOut(folder: number, into: () => string): Promise<void> {
  letOwnerChange(folder);
  for await (const { name } of entriesOf(folder)) moveOne(folder, name, `${into()}/${randomUUID()}`);
}

function moveOne(folder: number, name: string, to: string | Buffer): void {
  for (let tries = 0; ; tries += 1) {
    try {
      renameSync(within(folder, name), to);
      return;
    } catch (error) {
      const code = errnoOf(error);
      if (code === 'ENOENT') return;
      // Who moves a folder changes it.
      if (code !== 'EACCES' || tries > 0) throw error;
      openToOwner(folder, name);
    }
  }
}

/**
 * Removes what stands at a path, with all that is in it, while a program may still be changing that. No link is followed but
 * on the way to the folder that it is in. Throws what the file system throws: `ENOTEMPTY` where the program goes on adding.
 */
export async function removeLivingTree(path: string): Promise<void> {
  const folder = openSync(dirname(path), FOLDER);
  try {
    await removeLiving(folder, basename(path));
  } finally {
    closeSync(folder);
  }
}

/** {@link removeLivingTree} of a name in an open folder, to which what lies deep in it is moved meanwhile. */
export async function removeLiving(folder: number, name: string): Promise<void> {
  await withDeep(folder, async (deep) => await removeAt(folder, name, 0, deep));
}

/** Moves a folder up that lies too deep; it is removed later. */
type Deep = (folder: number, name: string) => void;

/** Does work, and removes afterwards what it has moved up to the folder. */
async function withDeep<T>(folder: number, work: (deep: Deep) => Promise<T>): Promise<T> {
  const moved: string[] = [];
  const deep: Deep = (at, name) => {
    const up = randomUUID();
    moveOne(at, name, within(folder, up));
    moved.push(up);
  };
  const result = await work(deep);
  // The list grows while it is gone through.
  for (const name of moved) await removeAt(folder, name, 0, deep);
  return result;
}

async function removeAt(folder: number, name: string, depth: number, deep: Deep): Promise<void> {
  const inside = openIn(folder, name);
  if (inside === undefined) return await unlessGone(unlink(within(folder, name)));
  try {
    await emptyOpen(inside, depth, deep);
  } finally {
    closeSync(inside);
  }
  await unlessGone(rmdir(within(folder, name)));
}

/**
 * Empties the folders of these names in a folder, while a program may still be changing what is in them. False where that
 * is none, or anything else is in it. No link is followed. Throws as {@link removeLiving} does.
 */
export async function emptyLiving(
  folder: number,
  name: string,
  names: ReadonlySet<string>,
): Promise<boolean> {
  return await withDeep(folder, async (deep) => await emptyAll(folder, name, names, deep));
}

async function emptyAll(
  folder: number,
  name: string,
  names: ReadonlySet<string>,
  deep: Deep,
): Promise<boolean> {
  const inside = openIn(folder, name);
  if (inside === undefined) return false;
  try {
    let found = 0;
    for await (const entry of entriesOf(inside)) {
      if (!names.has(entry.name)) return false;
      const one = openIn(inside, entry.name);
      if (one === undefined) return false;
      found += 1;
      try {
        await emptyOpen(one, 0, deep);
      } finally {
        closeSync(one);
      }
    }
    return found === names.size;
  } finally {
    closeSync(inside);
  }
}

async function emptyOpen(folder: number, depth: number, deep: Deep): Promise<void> {
  let files: Promise<void>[] = [];
  for await (const entry of entriesOf(folder)) {
    if (entry.isDirectory()) await removeFolder(folder, entry.name, depth, deep);
    else files.push(removeFile(folder, entry.name, depth, deep));
    if (files.length < AT_ONCE) continue;
    await allOf(files);
    files = [];
  }
  await allOf(files);
}

async function removeFolder(folder: number, name: string, depth: number, deep: Deep): Promise<void> {
  if (depth < DEPTH) await removeAt(folder, name, depth + 1, deep);
  else deep(folder, name);
}

/** Not every file system tells in its listings what is a folder. */
async function removeFile(folder: number, name: string, depth: number, deep: Deep): Promise<void> {
  try {
    await unlessGone(unlink(within(folder, name)));
  } catch (error) {
    if (!['EISDIR', 'EPERM'].includes(errnoOf(error) ?? '')) throw error;
    await removeFolder(folder, name, depth, deep);
  }
}

/** Opens a folder in another one; undefined where it is no folder, or not there (any more). */
function openIn(folder: number, name: string): number | undefined {
  for (let tries = 0; ; tries += 1) {
    try {
      const inside = openSync(within(folder, name), FOLDER);
      letOwnerChange(inside);
      return inside;
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (['ENOTDIR', 'ELOOP', 'ENOENT'].includes(code)) return undefined;
      if (code !== 'EACCES' || tries > 0) throw error;
      openToOwner(folder, name);
    }
  }
}

/** Lets the owner of an open folder take away what is in it, where its mode does not. */
function letOwnerChange(folder: number): void {
  if ((fstatSync(folder).mode & 0o700) === 0o700) return;
  try {
    fchmodSync(folder, 0o700);
  } catch (error) {
    // Of a folder of somebody else's: what comes next fails, and says at what.
    if (errnoOf(error) !== 'EPERM') throw error;
  }
}

/** Lets the owner of a folder into it, as `openFolder` does, but for the very folder that was found to be one. */
function openToOwner(folder: number, name: string): void {
  const itself = openSync(within(folder, name), O_PATH | FOLDER);
  try {
    chmodSync(`/proc/self/fd/${itself}`, 0o700);
  } finally {
    closeSync(itself);
  }
}

/** What is in an open folder, all else having its turn now and then. */
async function* entriesOf(folder: number): AsyncGenerator<Dirent> {
  // Listed at once: to open a folder for reading costs several times as much, and most are empty.
  const entries = readdirSync(`/proc/self/fd/${folder}`, BYTES);
  for (const [index, entry] of entries.entries()) {
    yield entry;
    if (index % TURN === TURN - 1) await setImmediate();
  }
}

async function unlessGone(doing: Promise<void>): Promise<void> {
  try {
    await doing;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
