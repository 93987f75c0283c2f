import { constants, statSync } from 'node:fs';
import { access, chmod, mkdir, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { errnoOf, PlatformError } from '@morpheo/common';
import { CORRUPT, isSqliteError } from './errors.ts';

/**
 * Makes the file where there is none, and its folder, readable by the owner alone. The folders are synced, so that
 * the file is still found after a power cut.
 */
export async function prepareFile(file: string): Promise<void> {
  const folder = dirname(resolve(file));
  try {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    await makeFile(file);
    if (!(await stat(file)).isFile()) throw new Error('it is no file');
    await access(file, constants.R_OK | constants.W_OK);
    await chmod(file, 0o600);
    await syncFolders(folder, made === undefined ? folder : dirname(made));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const remedy = 'name another file, or give this user access to its folder';
    throw new PlatformError('unavailable', `The database ${file} cannot be opened: ${why}; ${remedy}.`, {
      cause: error,
    });
  }
}

/** Never opens one that is there: when a process closes a file, all its locks on it are gone, those of SQLite too. */
async function makeFile(file: string): Promise<void> {
  try {
    await (await open(file, 'wx', 0o600)).close();
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

/** The files that this process has open, by device and number. */
const held = new Set<string>();

/**
 * Takes a file for one opening of this process, until it is disposed. SQLite keeps other processes out, and lets the
 * connections of one in. Throws `unavailable` where it is taken.
 */
export function holdFile(file: string): Disposable {
  const { dev, ino } = statSync(file, { bigint: true });
  const key = `${dev} ${ino}`;
  if (held.has(key)) {
    const message = `The database ${file} is opened twice by this process; name another file.`;
    throw new PlatformError('unavailable', message);
  }
  held.add(key);
  return { [Symbol.dispose]: () => void held.delete(key) };
}

/**
 * Throws `unavailable` where an open database has lost its file, or may write to it no more: what is written to a file
 * that was removed is gone with the process.
 */
export async function requireFile(file: string): Promise<void> {
  if (file === ':memory:') return;
  try {
    await access(file, constants.R_OK | constants.W_OK);
  } catch (cause) {
    const isGone = errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR';
    const why = isGone ? 'is gone: restore it from a backup, and start again' : 'can be written no more';
    throw new PlatformError('unavailable', `The file of the database ${file} ${why}.`, { cause });
  }
}

/**
 * Looks through a file that a process has left without closing it, before anything is written. Throws `unavailable`
 * where it is damaged: mostly an older copy of the file was put back, and the log of writes (`-wal`) beside it is that of
 * the newer one. SQLite would write the two together.
 */
export async function refuseDamaged(file: string): Promise<void> {
  const left = await stat(`${file}-wal`).catch(() => undefined);
  if (left === undefined || left.size === 0) return;
  const problem = problemOf(file);
  if (problem === undefined) return;
  const remedy =
    `restore it from a backup. Where it was just restored, remove ${file}-wal and ${file}-shm, which belong to what was ` +
    'there before, restore it once more, and start again';
  throw new PlatformError('unavailable', `The database ${file} is damaged (${problem}): ${remedy}.`);
}

function problemOf(file: string): string | undefined {
  try {
    // What may not write does not move the log into the file when it closes either.
    using database = new DatabaseSync(file, { readOnly: true });
    const found = Object.values(database.prepare('pragma quick_check(1)').get() ?? {});
    return found[0] === 'ok' ? undefined : String(found[0]).trim().split('\n').at(-1);
  } catch (error) {
    // Whatever else keeps it from being opened shows when it is opened for good.
    return isSqliteError(error, CORRUPT) ? String(error) : undefined;
  }
}

/** Syncs a folder and those above it, up to the given one. */
async function syncFolders(folder: string, last: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync();
  await handle.close();
  if (folder !== last && folder !== dirname(folder)) await syncFolders(dirname(folder), last);
}
