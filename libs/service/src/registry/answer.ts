import type { IncomingMessage } from 'node:http';
import { type ImageReference, PlatformError } from '@morpheo/common';
import { ImageRefusal } from './refusal.ts';

/** How long an answer that is read as a whole may take, in milliseconds. */
const WHOLE_MS = 60_000;

/** All bytes of an answer. Throws `too_large` beyond so many, and `unavailable` where it breaks or takes too long. */
export async function readBounded(
  response: IncomingMessage,
  most: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const late = new PlatformError('unavailable', 'A registry did not end its answer in time.');
  const timer = setTimeout(() => response.destroy(late), WHOLE_MS);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.byteLength;
      if (length > most) throw new PlatformError('too_large', `A registry sent more than ${most} bytes.`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PlatformError) throw error;
    throw new PlatformError('unavailable', 'A registry broke off in the middle of an answer.', {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    response.destroy();
  }
}

/** What an answer means that does not bring what was asked for; `what` is the subject of a sentence. */
export function failureOf(status: number, what: string, { registry }: ImageReference): PlatformError {
  if (status === 404) return new ImageRefusal('image_missing', `${what} is not in the registry ${registry}.`);
  if (status === 429)
    return new PlatformError('rate_limited', `${registry} takes no more requests for now (status 429).`);
  return new PlatformError('unavailable', `${registry} did not give ${what} (status ${status}).`);
}

/** The same where another host, to which a registry sent us, does not bring it: a link may have run out. */
export function failureElsewhere(
  status: number,
  what: string,
  host: string,
  { registry }: ImageReference,
): PlatformError {
  return new PlatformError(
    'unavailable',
    `${host}, to which ${registry} sent the worker, did not give ${what} (status ${status}).`,
  );
}
