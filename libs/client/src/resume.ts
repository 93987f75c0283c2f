import { isPlatformError, type ServerEvent } from '@morpheo/common';
import { retryAfterMs } from './peer-error.ts';

/** How to go on after a cut. */
export interface ResumeOptions<T> {
  /** Opens the stream after the event of this id, or from its beginning. */
  readonly open: (
    lastEventId: string | undefined,
    signal: AbortSignal | undefined,
  ) => Promise<AsyncIterable<ServerEvent<T>>>;
  /** Where to begin: after this event. */
  readonly lastEventId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The first and the longest pause between tries, in milliseconds; 250 and 10,000 where absent. */
  readonly pauseMs?: { readonly first: number; readonly most: number } | undefined;
}

/**
 * The events of a stream until it ends by itself, whatever happens to the connection: after a cut it is opened again
 * from the last event that came, with pauses that double (and are halved by chance) until one does. Every event comes
 * once. Throws what no later try can mend (`not_found`, `unauthenticated`, `internal`, …), and the signal's reason.
 */
export async function* resumeEvents<T>(
  options: ResumeOptions<T>,
): AsyncGenerator<ServerEvent<T>, void, undefined> {
  const { open, signal, pauseMs = { first: 250, most: 10_000 } } = options;
  let last = options.lastEventId;
  let pause = pauseMs.first;
  for (;;) {
    signal?.throwIfAborted();
    try {
      for await (const event of await open(last, signal)) {
        if (event.id !== '') last = event.id;
        pause = pauseMs.first;
        yield event;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPlatformError(error, 'unavailable', 'timed_out', 'rate_limited')) throw error;
      if (error.code === 'rate_limited') await sleep(retryAfterMs(error), signal);
    }
    await sleep(pause * (0.5 + Math.random() / 2), signal);
    pause = Math.min(pause * 2, pauseMs.most);
  }
}

/** Resolves after so many milliseconds, or at once when the signal aborts. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener('abort', wake);
  });
}
