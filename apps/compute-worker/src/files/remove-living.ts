import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  type Dirent,
  constants as fs,
  openSync,
  readdirSync,
  renameSync,
} from 'node:fs';
import { rmdir, unlink } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '@morpheo/common';
import { allOf } from './remove-tree.ts';

/** Deeper folders are not removed while a program lives that may be making them deeper. */
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
  for await (const { name } of entriesOf(folder)) moveOne(folder, name, `${into()}/${randomUUID()}`);
}

function moveOne(folder: number, name: string, to: string): void {
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
 * Removes what has this name in an open folder, with all that is in it, while a program may still be changing that. No link
 * is followed. Throws what the file system throws: `ENOTEMPTY` where the program goes on adding to it.
 */
export async function removeLiving(folder: number, name: string, depth = 0): Promise<void> {
  if (depth > DEPTH) throw new Error(`A folder lies deeper than ${DEPTH} others.`);
  const inside = openIn(folder, name);
  if (inside === undefined) return await unlessGone(unlink(within(folder, name)));
  try {
    await emptyOpen(inside, depth);
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
        await emptyOpen(one, 0);
      } finally {
        closeSync(one);
      }
    }
    return found === names.size;
  } finally {
    closeSync(inside);
  }
}

async function emptyOpen(folder: number, depth: number): Promise<void> {
  let files: Promise<void>[] = [];
  for await (const entry of entriesOf(folder)) {
    if (entry.isDirectory()) await removeLiving(folder, entry.name, depth + 1);
    else files.push(removeFile(folder, entry.name, depth));
    if (files.length < AT_ONCE) continue;
    await allOf(files);
    files = [];
  }
  await allOf(files);
}

/** Not every file system tells in its listings what is a folder. */
async function removeFile(folder: number, name: string, depth: number): Promise<void> {
  try {
    await unlessGone(unlink(within(folder, name)));
  } catch (error) {
    if (!['EISDIR', 'EPERM'].includes(errnoOf(error) ?? '')) throw error;
    await removeLiving(folder, name, depth + 1);
  }
}

/** Opens a folder in another one; undefined where it is no folder, or not there (any more). */
function openIn(folder: number, name: string): number | undefined {
  for (let tries = 0; ; tries += 1) {
    try {
      return openSync(within(folder, name), FOLDER);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (['ENOTDIR', 'ELOOP', 'ENOENT'].includes(code)) return undefined;
      if (code !== 'EACCES' || tries > 0) throw error;
      openToOwner(folder, name);
    }
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
