import { type Dirent, lstatSync, readdirSync, rmdirSync } from 'node:fs';
import { readdir, rename, unlink } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '@morpheo/common';
import { below, openFolder, openFolderNow } from './open-tree.ts';

/** A folder whose path is longer is moved up before it is looked into: the kernel takes no path of 4,096 bytes. */
const LONG_BYTES = 2048;
/** How many files are removed at a time. */
const AT_ONCE = 32;
/** After so many folders all else has its turn. */
const TURN = 256;
/** The size that a folder itself has on disk, of some hundred entries at the most. */
const SMALL_BYTES = 16 * 1024;
const LISTING = { withFileTypes: true, encoding: 'buffer' } as const;

/**
 * Removes a file or folder with all that is in it, whatever modes, names and depth the code that wrote it has left.
 * Links are removed, never followed. What is not there, or goes meanwhile, is fine. When it settles nothing of it is
 * still being removed, so the same path may be used again. (`rm` of Node fits neither: it ends at its first error while
 * other removals go on.)
 */
export async function removeTree(path: string): Promise<void> {
  const root = Buffer.from(path);
  const stats = lstatSync(root, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isDirectory()) return await unlessGone(unlink(root));
  const folders: Buffer[] = [root];
  // The list grows while it is gone through: by the folders that are found.
  for (const [index, folder] of folders.entries()) {
    if (index % TURN === TURN - 1) await setImmediate();
    const inside = await listed(folder);
    const files = inside.filter((entry) => !entry.isDirectory());
    for (let start = 0; start < files.length; start += AT_ONCE) {
      const some = files.slice(start, start + AT_ONCE);
      await allOf(some.map(({ name }) => unlessGone(unlink(below(folder, name)))));
    }
    for (const { name } of inside.filter((entry) => entry.isDirectory())) {
      const found = below(folder, name);
      folders.push(found.byteLength < LONG_BYTES ? found : await movedUp(found, root));
    }
  }
  for (const [index, folder] of folders.reverse().entries()) {
    if (index % TURN === TURN - 1) await setImmediate();
    now(() => rmdirSync(folder));
  }
}

/**
 * What is in a folder, which is opened to its owner. A small one is read at once: to tell the disk's threads of it takes
 * longer.
 */
async function listed(folder: Buffer): Promise<Dirent<Buffer>[]> {
  const size = now(() => openFolderNow(folder));
  if (size === undefined) return [];
  if (size <= SMALL_BYTES) return now(() => readdirSync(folder, LISTING)) ?? [];
  return (await unlessGone(readdir(folder, LISTING))) ?? [];
}

/** Moves a folder to the root of its tree, and returns its new path. */
async function movedUp(folder: Buffer, root: Buffer): Promise<Buffer> {
  // A folder knows the one that it lies in: who moves it changes it.
  await openFolder(folder);
  for (let number = 0; ; number += 1) {
    const path = below(root, Buffer.from(`.moved-up-${number}`));
    try {
      await rename(folder, path);
      return path;
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
    }
  }
}

/** What is done at once; undefined where what it is done to has gone. */
function now<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function unlessGone<T>(doing: Promise<T>): Promise<T | undefined> {
  try {
    return await doing;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Waits for all, also where one fails, and throws what the first one that failed threw. */
export async function allOf(doing: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(doing)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
