import { ERRORS, type ErrorCode, PlatformError } from '@morpheo/common';
import { readText } from './read-text.ts';
import type { Where } from './where.ts';

/** An error answer is read so far, in bytes. */
const READ = 64 * 1024;
/** And a text that is no problem body is shown so far, in characters. */
const SHOWN = 500;

/** The codes of services that give none. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'timed_out',
  409: 'conflict',
  411: 'length_required',
  412: 'precondition_failed',
  413: 'too_large',
  415: 'unsupported_media_type',
  416: 'range_not_satisfiable',
  423: 'locked',
  429: 'rate_limited',
  431: 'headers_too_large',
  460: 'checksum_mismatch',
  499: 'cancelled',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
  507: 'disk_full',
};

/** Which request was answered with an error. */
class ErrorAnswer extends Error {}

/** Whether a service has answered so: false where none was reached, and for all that is no answer. */
export function isErrorAnswer(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof ErrorAnswer;
}

/** An error answer as a `PlatformError`; its cause says which request it answers. */
export async function toError(response: Response, where: Where): Promise<PlatformError> {
  const text = await readText(response, READ, where).catch(() => '');
  const body = parseObject(text);
  const { type, title, status, detail, code, error, Error: capital, ...rest } = body ?? {};
  const told = [detail, error, capital].find((member) => typeof member === 'string' && member !== '');
  const plain = body === undefined ? text.trim().slice(0, SHOWN) : '';
  const line = `${where.method} ${where.url} answered ${response.status}`;
  return new PlatformError(
    isCode(code) ? code : codeOf(response.status),
    typeof told === 'string' ? told : plain === '' ? `${line}.` : plain,
    { cause: new ErrorAnswer(line), details: { ...rest, ...retryAfter(response) } },
  );
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

function codeOf(status: number): ErrorCode {
  return BY_STATUS[status] ?? (status >= 500 ? 'internal' : 'invalid_request');
}

/** How long an error asks to be waited before the same is tried again, in milliseconds: 0 where it says nothing. */
export function retryAfterMs({ details }: PlatformError): number {
  return typeof details.retry_after === 'number' ? Math.max(0, details.retry_after) * 1000 : 0;
}

function retryAfter(response: Response): { retry_after?: number } {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) ? { retry_after: seconds } : {};
}
