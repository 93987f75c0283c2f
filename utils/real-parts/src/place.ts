import { accessSync, constants, statfsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where the installers put what they build, and where the tests keep what is slow to make. */
export const partsFolder =
  process.env.MORPHEO_PARTS ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'morpheo/real-parts');

/** The path of a program: ours first, then the `PATH`'s; undefined where there is none. */
export function findProgram(name: string): string | undefined {
  const folders = [
    join(partsFolder, 'bin'),
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/sbin',
  ];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The path of a program that must be there; throws with the remedy where it is not. */
export function requireProgram(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not on this machine: run \`make real-parts\`.`);
  return path;
}

const MEMORY = '/dev/shm';
const ENOUGH_BYTES = 4 * 1024 ** 3;

/**
 * The parent of folders that nobody reads after the test: in memory where the machine has 4 GiB to spare, else where
 * temporary files are. Many small files that are made, synced and removed cost a disk far more work. Programs may not
 * be allowed to be run from there.
 */
export function quickFolder(): string {
  try {
    accessSync(MEMORY, constants.W_OK);
    const { bavail, bsize } = statfsSync(MEMORY);
    const hasRoom = Math.min(bavail * bsize, process.availableMemory()) >= ENOUGH_BYTES;
    return hasRoom ? MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
