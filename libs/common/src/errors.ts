import * as z from 'zod';

/** What an error code means to a caller: its HTTP status, and whether the same call may succeed later. */
export interface ErrorMeaning {
  readonly status: number;
  /** True where trying the same call again, later, can help: the requeue decision reads this as well. */
  readonly retry: boolean;
  readonly title: string;
}

/** The closed list of errors of all services. Act upon the code, never upon a message. */
export const ERRORS = {
  invalid_request: { status: 400, retry: false, title: 'The request does not fit its schema' },
  invalid_json: { status: 400, retry: false, title: 'The body is not the JSON that is expected' },
  invalid_order: { status: 400, retry: false, title: 'The order breaks a rule' },
  invalid_upload: { status: 400, retry: false, title: 'The upload breaks a rule' },
  digest_mismatch: { status: 400, retry: false, title: 'The bytes do not have the digest that was promised' },
  unauthenticated: { status: 401, retry: false, title: 'Credentials are missing or wrong' },
  forbidden: { status: 403, retry: false, title: 'These credentials do not allow this' },
  not_found: { status: 404, retry: false, title: 'There is nothing of this name' },
  method_not_allowed: { status: 405, retry: false, title: 'This path does not know this method' },
  timed_out: { status: 408, retry: true, title: 'The request took too long to arrive' },
  conflict: { status: 409, retry: false, title: 'Something else has this name' },
  stale_attempt: { status: 409, retry: false, title: 'Another attempt, or an end, has overtaken this one' },
  in_use: { status: 409, retry: false, title: 'Something still refers to this' },
  wrong_state: { status: 409, retry: false, title: 'This is not possible in the present state' },
  length_required: { status: 411, retry: false, title: 'The length must be given before the bytes' },
  precondition_failed: { status: 412, retry: false, title: 'A condition of the request does not hold' },
  too_large: { status: 413, retry: false, title: 'The body is over the limit' },
  unsupported_media_type: { status: 415, retry: false, title: 'This kind of body is not understood' },
  range_not_satisfiable: { status: 416, retry: false, title: 'The range lies outside the bytes' },
  locked: { status: 423, retry: true, title: 'Another request is working on this' },
  call_failed: { status: 422, retry: false, title: 'The program has answered with an error' },
  headers_too_large: { status: 431, retry: false, title: 'The header fields are over the limit' },
  rate_limited: { status: 429, retry: true, title: 'Too many requests' },
  // The tus protocol, "Checksum": the number is its own.
  checksum_mismatch: {
    status: 460,
    retry: true,
    title: 'The chunk does not have the checksum that came with it',
  },
  cancelled: { status: 499, retry: false, title: 'The caller gave up' },
  internal: { status: 500, retry: true, title: 'The service failed' },
  damaged: { status: 500, retry: false, title: 'The stored bytes are damaged' },
  unavailable: { status: 503, retry: true, title: 'A part that is needed does not answer' },
  deadline_passed: { status: 504, retry: true, title: 'It has taken longer than it may' },
  disk_full: { status: 507, retry: true, title: 'There is no room left' },
  quota_exceeded: { status: 507, retry: false, title: 'The owner may not have as many bytes' },
} as const satisfies Record<string, ErrorMeaning>;

/** A code of the closed list. */
export type ErrorCode = keyof typeof ERRORS;

/** All codes. */
export const ERROR_CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

/** What may be said beside the message of a {@link PlatformError}. */
export interface ErrorExtras {
  readonly cause?: unknown;
  /** Members to add to the problem body, for instance `field` or `limit`. Shown to the caller: no secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** True: message and details are the caller's alone, as what a program has said; logs and traces have the code. */
  readonly confidential?: boolean;
}

/** The one error of the platform: a code of the closed list, and a message that says what, where and what to do. */
export class PlatformError extends Error {
  override name = 'PlatformError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  /** See {@link ErrorExtras.confidential}. */
  readonly confidential: boolean;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.code = code;
    this.details = extras.details ?? {};
    this.confidential = extras.confidential ?? false;
  }

  /** The HTTP status of the code. */
  get status(): number {
    return ERRORS[this.code].status;
  }

  /** Whether the same call may succeed later. */
  get retry(): boolean {
    return ERRORS[this.code].retry;
  }
}

/** True for a {@link PlatformError}, of the given codes where some are given. */
export function isPlatformError(error: unknown, ...codes: ErrorCode[]): error is PlatformError {
  return error instanceof PlatformError && (codes.length === 0 || codes.includes(error.code));
}

/**
 * The one funnel outwards: any thrown thing as a {@link PlatformError}. What is not one already becomes `internal`
 * with a message that leaks nothing; the cause is kept for the log.
 */
export function toPlatformError(error: unknown): PlatformError {
  if (error instanceof PlatformError) return error;
  return new PlatformError('internal', 'The service failed to answer; its log says why.', { cause: error });
}

/** The body of every error answer: RFC 9457 problem details, our `code`, and the original's `error` text. */
export const problemBody = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(ERROR_CODES),
});

/** See {@link problemBody}. */
export type ProblemBody = z.infer<typeof problemBody>;

/**
 * The problem body (RFC 9457) of an error; `textKey` is the member that carries the original's text. Details that
 * have the name of one of its own members are left out.
 */
export function toProblem(error: PlatformError, textKey = 'error'): ProblemBody {
  return {
    ...error.details,
    type: `urn:morpheo:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    // Last, since clients of the originals match the end of the body.
    [textKey]: error.message,
  };
}

/** What a schema has found, in its words; of a key, zod tells what is wrong with it in an issue of its own. */
export function issueMessage(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
}

/** The code of an error of the system, such as `ENOENT`; undefined where an error has none. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** True where the disk has no room, or the user may not have more of it. */
export function isDiskFull(error: unknown): boolean {
  const code = errnoOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}
