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
const ENOUGH_BYTES = 2 * 1024 ** 3;

/**
 * The parent of a test's folder that outlives no process but the test's own: in memory, where the machine has room for
 * it, else where temporary files are. Hundreds of small files that are made, synced and removed cost a disk much more.
 */
export function quickFolder(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    accessSync(MEMORY, constants.W_OK);
    return bavail * bsize >= ENOUGH_BYTES ? MEMORY : tmpdir();
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
