import { isPlatformError, OrderFailure } from '@morpheo/common';

/** What kind of error something is, in a word of a closed list: a code, a reason, or the name of a class. */
export function kindOfError(error: unknown): string {
  if (isPlatformError(error)) return error.code;
  if (error instanceof OrderFailure) return error.failure.reason;
  return error instanceof Error ? error.name : typeof error;
}
