import { PlatformError } from '@morpheo/common';
import { toNetworkError } from './where.ts';

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
