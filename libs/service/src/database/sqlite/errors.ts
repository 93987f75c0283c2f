import { PlatformError } from '@morpheo/common';

// Primary result codes of SQLite (sqlite.org/rescode.html); extended ones carry them in their low byte.
const BUSY = 5;
const READONLY = 8;
const IOERR = 10;
/** The file does not fit together. */
export const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

// Extended ones: the system may have forgotten what it could not bring to disk.
const IOERR_FSYNC = IOERR | (4 << 8);
const IOERR_DIR_FSYNC = IOERR | (5 << 8);

/** What is wrong and what to do, after the name of the file. */
const UNAVAILABLE: Readonly<Record<number, string>> = {
  [BUSY]: 'is held by another process (or opened twice by this one); stop that one, or name another file',
  [READONLY]: 'cannot be written; check the permissions of the file and of its folder',
  [IOERR]: 'cannot be read or written; check the disk',
  [CORRUPT]: 'is damaged; restore it from a backup',
  [CANTOPEN]: 'cannot be opened; check the permissions of the file and of its folder',
  [NOTADB]: 'is not an SQLite database; name another file',
};

/** Whether it is an error of the engine with this primary result code. */
export function isSqliteError(error: unknown, code: number): error is Error {
  return (
    error instanceof Error &&
    'errcode' in error &&
    typeof error.errcode === 'number' &&
    (error.errcode & 0xff) === code
  );
}

/** Whether an error of the engine says that the file is not what was written to it: nothing more may be built on it. */
export function isDamage(error: unknown): boolean {
  if (isSqliteError(error, CORRUPT)) return true;
  return isSqliteError(error, IOERR) && 'errcode' in error && SYNC_ERRORS.has(error.errcode);
}

const SYNC_ERRORS: ReadonlySet<unknown> = new Set([IOERR_FSYNC, IOERR_DIR_FSYNC]);

/**
 * The error of the engine in the platform's terms: a full disk is `disk_full`, and whatever keeps the file from
 * being used is `unavailable`. Every other error is a fault of ours and stays as it is.
 */
export function fromSqliteError(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error;
  const code = error.errcode & 0xff;
  if (code === FULL) {
    return new PlatformError('disk_full', `There is no room left for the database ${file}; free some.`, {
      cause: error,
    });
  }
  const problem = UNAVAILABLE[code];
  if (problem === undefined) return error;
  return new PlatformError('unavailable', `The database ${file} ${problem}.`, { cause: error });
}
