import { PlatformError } from '@morpheo/common';

/** The error number's name that Node gives to what the file system says, such as `ENOENT`. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** True where a file or folder is not there. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/**
 * A full disk as `disk_full`, too many open files as `unavailable`; anything else as it is.
 * `what` is what could not be done, for the message.
 */
export function fileSystemError(error: unknown, what: string): unknown {
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new PlatformError('disk_full', `There is no room left on the disk to ${what}.`, {
        cause: error,
      });
    case 'EMFILE':
    case 'ENFILE':
      return new PlatformError('unavailable', `Too many files are open to ${what}; try again.`, {
        cause: error,
      });
    default:
      return error;
  }
}

/**
 * What {@link fileSystemError} says, and a disk that fails or that may only be read as `unavailable`: nothing was
 * stored, and once the operator has seen to the disk the same call goes through.
 */
export function writeError(error: unknown, what: string): unknown {
  const code = codeOf(error);
  if (code !== 'EIO' && code !== 'EROFS') return fileSystemError(error, what);
  const state = code === 'EIO' ? 'fails' : 'may only be read';
  return new PlatformError('unavailable', `The disk ${state}, so that nothing can ${what} (${code}).`, {
    cause: error,
  });
}
