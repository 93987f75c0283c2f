import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Directory, directory, errnoOf } from '@morpheo/common';
import { z } from 'zod';

/** What storage-api said last about who may call. */
export interface DirectoryCopy {
  readonly etag: string | undefined;
  readonly directory: Directory;
  /** When it said so last, in milliseconds since 1970. */
  readonly saidAt: number;
}

const kept = z.object({ etag: z.string().optional(), directory });

/** Reads a copy; undefined where there is none. Throws where it is no good. */
export async function readCopy(path: string): Promise<DirectoryCopy | undefined> {
  try {
    const { etag, directory: people } = kept.parse(JSON.parse(await readFile(path, 'utf8')));
    return { etag, directory: people, saidAt: (await stat(path)).mtimeMs };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes a copy, whole or not at all, readable by this user alone; its folder is made where there is none. */
export async function writeCopy(path: string, { etag, directory: people }: DirectoryCopy): Promise<void> {
  const text = JSON.stringify({ etag, directory: people });
  try {
    await writeWhole(path, text);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeWhole(path, text);
  }
}

/** Writes a file, whole or not at all, readable by this user alone. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Notes that storage-api said the same again. Resolves to false where the copy is there no more. */
export async function touchCopy(path: string, { saidAt }: DirectoryCopy): Promise<boolean> {
  try {
    await utimes(path, saidAt / 1000, saidAt / 1000);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
