import { PlatformError } from '@morpheo/common';
import { toNetworkError, type Where } from './where.ts';

/** Reads an answer whole, at most `limit` bytes of it. Throws `too_large` beyond, `unavailable` where it is cut. */
export async function readText(response: Response, limit: number, where: Where): Promise<string> {
  if (response.body === null) return '';
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for (;;) {
    const next = await reader.read().catch((cause: unknown) => {
      throw toNetworkError(cause, where);
    });
    if (next.done) return text + decoder.decode();
    size += next.value.length;
    if (size > limit) {
      await reader.cancel();
      throw new PlatformError('too_large', `${where.method} ${where.url} answered more than ${limit} bytes.`);
    }
    text += decoder.decode(next.value, { stream: true });
  }
}
