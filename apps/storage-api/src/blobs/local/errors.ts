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

/**
 * What {@link fileSystemError} says, and a disk that fails or that may only be read as `unavailable`: nothing was
 * stored, and once the operator has seen to the disk the same call goes through.
 */
export function writeError(error: unknown, task: string): unknown {
  const code = errnoOf(error);
  if (code !== 'EIO' && code !== 'EROFS') return fileSystemError(error, task);
  const state = code === 'EIO' ? 'fails' : 'may only be read';
  return new PlatformError('unavailable', `The disk ${state}, so that nothing can ${task} (${code}).`, {
    cause: error,
  });
}
