import { constants } from 'node:fs';
import { copyFile, link, mkdir, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { errnoOf } from '@morpheo/common';
import { allOf } from './remove-tree.ts';

/**
 * How a cached file comes into a workspace: `copy` gives the code a file of its own (sharing blocks where the file
 * system can); `link` costs nothing, and is only for what is mounted read-only by a runtime that isolates.
 */
export type Placing = 'copy' | 'link';

/** Puts a file at `target`, whose folder is there. */
export async function placeFile(source: string, target: string, placing: Placing): Promise<void> {
  if (placing === 'link' && (await linked(source, target))) return;
  await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
}

/** How many files are on their way at a time. */
const AT_ONCE = 16;

/** Puts files at their targets, of which the folders are there. */
export async function placeFiles(
  files: readonly { readonly source: string; readonly target: string }[],
  placing: Placing,
): Promise<void> {
  for (let start = 0; start < files.length; start += AT_ONCE) {
    const some = files.slice(start, start + AT_ONCE);
    await allOf(some.map(async ({ source, target }) => await placeFile(source, target, placing)));
  }
}

/** Puts the files and folders of a folder of ours, at any depth, into `target`, which is made where need be. */
export async function placeTree(source: string, target: string, placing: Placing): Promise<void> {
  await mkdir(target, { recursive: true });
  const files = [];
  // A folder comes before what is in it.
  for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
    const from = join(entry.parentPath, entry.name);
    const to = join(target, relative(source, from));
    if (entry.isDirectory()) await mkdir(to, { recursive: true });
    if (entry.isFile()) files.push({ source: from, target: to });
  }
  await placeFiles(files, placing);
}

/** False where the file system takes no further link; a copy does then. */
async function linked(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    if (['EXDEV', 'EMLINK', 'EPERM'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}
