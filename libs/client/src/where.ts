import { PlatformError } from '@morpheo/common';

/** A request, as far as a message tells of it: credentials are in none of these. */
export interface Where {
  readonly method: string;
  readonly url: string;
  readonly signal: AbortSignal | undefined;
}

/**
 * What to throw where `fetch`, or the reading of its answer, failed: the reason of the signal where it was aborted,
 * else `unavailable` with the address and the reason.
 */
export function toNetworkError(cause: unknown, { method, url, signal }: Where): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (cause instanceof PlatformError) return cause;
  const message = `${method} ${url} got no answer: ${reasonOf(cause)}.`;
  return new PlatformError('unavailable', message, { cause });
}

/** `fetch` says "fetch failed" and hides the reason in the cause; of several addresses each has its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.map((each) => reasonOf(each)).join('; ');
  }
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : reasonOf(error.cause);
}

/** The error of an answer that does not fit its contract: the two sides are of different versions. */
export function misfit(
  { method, url }: Where,
  issue: { readonly path: readonly PropertyKey[]; readonly message: string } | undefined,
  cause: unknown,
): PlatformError {
  const at =
    issue === undefined ? '' : ` (${issue.path.map(String).join('.') || 'the whole'}: ${issue.message})`;
  const message = `${method} ${url} answered what its contract does not know${at}.`;
  return new PlatformError('internal', message, { cause });
}

/** Resolves where an HTTP server answers at an address, whatever it answers; throws `unavailable` where none does. */
export async function reach(url: string, signal?: AbortSignal): Promise<void> {
  if (!URL.canParse(url)) throw new PlatformError('invalid_request', 'The address is no URL.');
  const { origin, pathname } = new URL(url);
  const where = { method: 'GET', url: `${origin}${pathname}`, signal };
  try {
    const init = { redirect: 'manual', ...(signal === undefined ? {} : { signal }) } as const;
    const answer = await fetch(where.url, init);
    await answer.body?.cancel();
  } catch (cause) {
    throw toNetworkError(cause, where);
  }
}
