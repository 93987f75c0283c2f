import { isErrorAnswer } from '@morpheo/client';
import { type ErrorCode, isPlatformError, type PlatformError } from '@morpheo/common';

/** What the exit code of `morpheo` means to a script. */
export const EXIT = {
  ok: 0,
  /** The platform failed, or the order that was watched did not end as `done`. */
  failed: 1,
  /** The command line, or a file that it names, is not right. */
  usage: 2,
  /** A service, or a part that it needs, does not answer. */
  unreachable: 3,
  notFound: 4,
  /** The platform refused: credentials, rights, or a state that does not allow it. */
  refused: 5,
  interrupted: 130,
} as const;

/** An exit code of the table. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The table of exit codes as the help shows it. */
export const EXIT_HELP = `Exit codes:
  0    done
  1    the platform failed, or the watched order failed or was cancelled
  2    the command line, or a file that it names, is not right
  3    a service, or a part that it needs, does not answer
  4    there is nothing of this name
  5    the platform refuses (credentials, rights, conflict, state, size)
  130  interrupted`;

const BY_CODE: Partial<Record<ErrorCode, ExitCode>> = {
  invalid_request: EXIT.usage,
  invalid_json: EXIT.usage,
  invalid_order: EXIT.usage,
  invalid_upload: EXIT.usage,
  unavailable: EXIT.unreachable,
  timed_out: EXIT.unreachable,
  deadline_passed: EXIT.unreachable,
  not_found: EXIT.notFound,
  unauthenticated: EXIT.refused,
  forbidden: EXIT.refused,
  conflict: EXIT.refused,
  stale_attempt: EXIT.refused,
  in_use: EXIT.refused,
  wrong_state: EXIT.refused,
  precondition_failed: EXIT.refused,
  too_large: EXIT.refused,
  quota_exceeded: EXIT.refused,
  rate_limited: EXIT.refused,
  cancelled: EXIT.interrupted,
};

/** Thrown for what the command itself finds wrong: the message says what and where, `hint` says what to do. */
export class CliError extends Error {
  override name = 'CliError';
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** A {@link CliError} for a command line, or a file that it names, that is not right. */
export function usageError(message: string, hint?: string, cause?: unknown): CliError {
  return new CliError(EXIT.usage, message, hint, cause);
}

/** What a thrown value says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The exit code of whatever was thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode;
  return isPlatformError(error) ? (BY_CODE[error.code] ?? EXIT.failed) : EXIT.failed;
}

/** What to do about an error: one line, or nothing where its message says it all. */
export function hintOf(error: unknown): string | undefined {
  if (error instanceof CliError) return error.hint;
  if (!isPlatformError(error))
    return 'This is a fault of morpheo itself: MORPHEO_DEBUG=1 shows where it came from.';
  return HINTS[error.code]?.(error);
}

const HINTS: Partial<Record<ErrorCode, (error: PlatformError) => string | undefined>> = {
  unavailable: (error) =>
    isErrorAnswer(error)
      ? 'See what answers with "morpheo status", then try again.'
      : 'See what answers with "morpheo status"; start a platform with "morpheo up".',
  timed_out: () => 'See what answers with "morpheo status", then try again.',
  unauthenticated: () =>
    'Set MORPHEO_USER and MORPHEO_PASSWORD, or use the data folder of the platform (--home).',
  // Of what somebody else owns, the message says whose it is.
  forbidden: ({ details }) =>
    Array.isArray(details.roles)
      ? 'Use credentials with the role that this needs (MORPHEO_USER, MORPHEO_PASSWORD).'
      : undefined,
  rate_limited: () => 'Wait a moment, then try again.',
  disk_full: () => 'Ask the operator of the platform to make room, then try again.',
  internal: () => "The service's own log says more.",
};
