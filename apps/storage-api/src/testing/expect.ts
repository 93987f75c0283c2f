import { buffer } from 'node:stream/consumers';
import { type BytesOut, type ErrorCode, isPlatformError, type PlatformError } from '@morpheo/common';
import type { ExecutionContext } from 'ava';

/** Expects a rejection with this code and hands on its error; `message` is the whole text, or a pattern in it. */
export async function refused(
  t: ExecutionContext,
  work: Promise<unknown>,
  code: ErrorCode,
  message?: string | RegExp,
): Promise<PlatformError | undefined> {
  const error = await t.throwsAsync(work);
  if (!isPlatformError(error)) {
    t.fail(`${code} was expected, this came: ${error?.stack}`);
    return undefined;
  }
  t.is(error.code, code, error.message);
  if (typeof message === 'string') t.is(error.message, message);
  if (message instanceof RegExp) t.regex(error.message, message);
  return error;
}

/** The bytes of an answer as text. */
export async function textOf(answer: BytesOut): Promise<string> {
  return answer.body === undefined ? '' : (await buffer(answer.body)).toString('latin1');
}
