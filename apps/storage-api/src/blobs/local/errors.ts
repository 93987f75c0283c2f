import { type ErrorCode, errnoOf, isDiskFull, PlatformError } from '@morpheo/common';

/** True where a file or folder is not there. */
export function isMissing(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT';
}

/**
 * A full disk as `disk_full`, too many open files as `unavailable`; anything else as it is.
 * `task` is what could not be done, for the message.
 */
export function fileSystemError(error: unknown, task: string): unknown {
  const failed = (code: ErrorCode, message: string) => new PlatformError(code, message, { cause: error });
  if (isDiskFull(error)) return failed('disk_full', `There is no room left on the disk to ${task}.`);
  const code = errnoOf(error);
  if (code !== 'EMFILE' && code !== 'ENFILE') return error;
  return failed('unavailable', `Too many files are open to ${task}; try again.`);
}

/** What is wrong with a disk, or with a folder on it, that takes nothing. */
const STATES: Readonly<Record<string, string>> = {
  EIO: 'The disk fails',
  EROFS: 'The disk may only be read',
  EACCES: 'The folder may not be written',
  EPERM: 'The folder may not be written',
  ENOENT: 'The folder, or the file in it, is gone',
  ENOTDIR: 'The folder is none',
  EEXIST: 'The folder is none',
};

/**
 * What {@link fileSystemError} says, and a disk or a folder that takes nothing as `unavailable`: nothing was stored, and
 * once the operator has seen to it the same call goes through.
 */
export function writeError(error: unknown, task: string): unknown {
  const code = errnoOf(error) ?? '';
  const state = STATES[code];
  if (state === undefined) return fileSystemError(error, task);
  return new PlatformError('unavailable', `${state}, so that nothing can ${task} (${code}).`, {
    cause: error,
  });
}
