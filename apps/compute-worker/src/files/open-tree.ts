import { chmodSync, lstatSync } from 'node:fs';
import { chmod, lstat, readdir } from 'node:fs/promises';
import { errnoOf } from '@morpheo/common';

const FOLDER = 0o700;
const FILE = 0o600;

/** The path of what has that name in a folder; names are bytes to the kernel, and need not be text. */
export function below(folder: Buffer, name: Uint8Array): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}

/**
 * Lets a folder's owner list, enter and change it, whatever mode the code that made it has left. A worker that is not
 * root owns what its runs wrote, and needs that. What is no folder stays as it is. Throws what the file system throws,
 * `EPERM` for a folder of somebody else.
 */
export async function openFolder(path: string | Buffer): Promise<void> {
  const stats = await lstat(path);
  if (stats.isDirectory()) await allow(path, stats.mode, FOLDER);
}

/** As {@link openFolder}, at once; returns the size that the folder itself has, in bytes. */
export function openFolderNow(path: string | Buffer): number {
  const stats = lstatSync(path);
  if (stats.isDirectory() && (stats.mode & FOLDER) !== FOLDER)
    chmodSync(path, (stats.mode | FOLDER) & 0o7777);
  return stats.size;
}

/**
 * Opens a tree that code has written to its owner: folders as {@link openFolder} does, files to be read and written.
 * Follows no link. To be called only once no process of the run is left. What belongs to somebody else, has gone, or
 * lies deeper than a path can say is left as it is.
 */
export async function openTree(root: string): Promise<void> {
  const folders: Buffer[] = [Buffer.from(root)];
  for (const folder of folders) {
    await unlessOutOfReach(openFolder(folder));
    const inside = await unlessOutOfReach(readdir(folder, { withFileTypes: true, encoding: 'buffer' }));
    for (const entry of inside ?? []) {
      const path = below(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) await unlessOutOfReach(openFile(path));
    }
  }
}

async function openFile(path: Buffer): Promise<void> {
  const { mode } = await lstat(path);
  await allow(path, mode, FILE);
}

async function allow(path: string | Buffer, mode: number, bits: number): Promise<void> {
  if ((mode & bits) !== bits) await chmod(path, (mode | bits) & 0o7777);
}

async function unlessOutOfReach<T>(doing: Promise<T>): Promise<T | undefined> {
  try {
    return await doing;
  } catch (error) {
    const known = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ENAMETOOLONG'];
    if (known.includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
