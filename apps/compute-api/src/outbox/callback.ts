import { type Failure, PlatformError } from '@morpheo/common';

/** How often a callback is tried: with the pauses of effects, for about an hour. */
const MOST_TRIES = 60;

/** How long one call may take, in milliseconds. */
const CALL_MS = 10_000;

/** What a job's callback is told of its end. */
export interface Ending {
  readonly uuid: string;
  readonly status: 'done' | 'failed' | 'cancelled';
  /** The id of its outputs on storage, where some are kept there. */
  readonly output?: string | undefined;
  readonly failure?: Pick<Failure, 'reason' | 'message' | 'exit_code'> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Whether a URL lies below one of the prefixes that an operator allows: on the same host and port, and at or below the same
 * path, whatever the one or the other is spelt like. A slash, or a backslash, that is written as an escape is never allowed:
 * servers that resolve it before they look for `..` would be led out.
 */
export function isAllowed(url: string, prefixes: readonly string[]): boolean {
  const asked = new URL(url);
  if (/%(?:2f|5c)/i.test(asked.pathname)) return false;
  return prefixes.some((prefix) => {
    const { origin, pathname } = new URL(prefix);
    const folder = pathname.endsWith('/') ? pathname : `${pathname}/`;
    return asked.origin === origin && `${asked.pathname}/`.startsWith(folder);
  });
}

/**
 * Posts an end as JSON. Resolves when it was taken, with any 2xx; or with the reason where it never will be: another answer
 * that trying again would not change, or too many tries. Throws where trying again may help. Redirections are not followed,
 * since they may lead beyond what the operator allows.
 */
export async function callBack(
  url: string,
  ending: Ending,
  tries: number,
  signal: AbortSignal,
): Promise<PlatformError | undefined> {
  const error = await post(url, ending, AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]));
  if (error?.retry === true && tries < MOST_TRIES) throw error;
  return error;
}

async function post(url: string, ending: Ending, signal: AbortSignal): Promise<PlatformError | undefined> {
  try {
    const headers = { 'content-type': 'application/json', 'user-agent': 'morpheo-compute-api' };
    const body = JSON.stringify(ending);
    const answer = await fetch(url, { method: 'POST', redirect: 'manual', headers, body, signal });
    await answer.body?.cancel();
    if (answer.ok) return undefined;
    const mayHelp = answer.status >= 500 || answer.status === 408 || answer.status === 429;
    return new PlatformError(
      mayHelp ? 'unavailable' : 'conflict',
      `The callback answered ${answer.status}, not with any 2xx.`,
    );
  } catch (cause) {
    return new PlatformError('unavailable', 'The callback does not answer.', { cause });
  }
}
