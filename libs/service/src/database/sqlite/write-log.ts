import { closeSync, openSync, readSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import { PlatformError } from '@morpheo/common';

/**
 * Which log of writes (`-wal`) belongs to a file. SQLite begins a log with a random number, which grows by one whenever
 * it writes the log from its beginning again. The file keeps the number that the log had at first, as its
 * `user_version`. Source: SQLite, "Database File Format", 1.3.18 and 4.1.
 */

const LOG_HEADER = 32;
const FRAME_HEADER = 24;
/** Where the two numbers stand, with 4 bytes each. */
const NUMBER_AT = { file: 60, log: 16 } as const;
const PAGE_SIZE_AT = 8;
/** So many pages are written until the number of a new log is in the file. */
const PAGES_OF_NOTE = 2;
/** A log is written from its beginning again for every 16 MiB or so: no log comes to as many. */
const MOST_BEGINNINGS = 2 ** 20;

/**
 * Throws `unavailable` where the log of writes beside a file is that of another one, mostly since an older copy of the
 * file was put back: SQLite would undo that, or spoil the file. A file of before there was a note fits any log.
 */
export async function refuseForeignLog(file: string): Promise<void> {
  const log = await readNumbers(`${file}-wal`, LOG_HEADER);
  const noted = (await readNumbers(file, NUMBER_AT.file + 4))?.readUInt32BE(NUMBER_AT.file) ?? 0;
  if (log === undefined || noted === 0) return;
  const { size } = await stat(`${file}-wal`);
  const pages = (size - LOG_HEADER) / (FRAME_HEADER + log.readUInt32BE(PAGE_SIZE_AT));
  const beginnings = (log.readUInt32BE(NUMBER_AT.log) - noted + 2 ** 32) % 2 ** 32;
  if (pages <= PAGES_OF_NOTE || beginnings < MOST_BEGINNINGS) return;
  const message =
    `The log of writes ${file}-wal does not belong to the database ${file}. Where that was restored, remove ${file}-wal ` +
    `and ${file}-shm, which belong to what was there before, and start again. Where nothing was restored, another program ` +
    `wrote to it: take both files along, and have sqlite3 move the log into the file (pragma wal_checkpoint).`;
  throw new PlatformError('unavailable', message);
}

/** Notes in an open file which log of writes is its own, where that has just begun. `hadLog`: there was one before. */
export function noteLog(database: DatabaseSync, file: string, hadLog: boolean): void {
  const noted = Object.values(database.prepare('pragma user_version').get() ?? {})[0];
  if (hadLog && noted !== 0) return;
  // Whatever is written begins the log.
  database.exec(`pragma user_version = ${Number(noted)}`);
  const header = Buffer.alloc(LOG_HEADER);
  const log = openSync(`${file}-wal`, 'r');
  try {
    readSync(log, header, 0, LOG_HEADER, 0);
  } finally {
    closeSync(log);
  }
  database.exec(`pragma user_version = ${header.readInt32BE(NUMBER_AT.log)}`);
  database.exec('pragma wal_checkpoint(passive)');
}

/** The first bytes of a file; undefined where it is not there or shorter. */
async function readNumbers(path: string, length: number): Promise<Buffer | undefined> {
  try {
    await using handle = await open(path, 'r');
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, 0);
    return bytesRead === length ? buffer : undefined;
  } catch {
    // Whatever else keeps it from being read shows when it is opened for good.
    return undefined;
  }
}
