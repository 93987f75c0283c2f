import { setTimeout as pause } from 'node:timers/promises';
import { resumeEvents } from '@morpheo/client';
import { isPlatformError, type OrderView, type ServerEvent } from '@morpheo/common';
import type { Context } from '../context.ts';

/** The first and the longest pause before a connection is opened again, in milliseconds. */
const PAUSE_MS = { first: 250, most: 5_000 } as const;

/** A stream of events about an order, opened after the event of an id or from its beginning. */
export type OpenStream<T> = (
  lastEventId: string | undefined,
  signal: AbortSignal | undefined,
) => Promise<AsyncIterable<ServerEvent<T>>>;

/**
 * Hands every event of an order's stream to `each`, once and in order, until the order has ended; resolves with the
 * order as it is then. A connection that is cut is opened again and goes on after the last event, for as long as it
 * takes. Fails at once where the order is not there, or nothing answers at the very start.
 */
export async function followOrder<T>(
  context: Context,
  id: string,
  open: OpenStream<T>,
  each: (data: T) => Promise<void>,
): Promise<OrderView> {
  const { signal, terminal } = context;
  await getOrder(context, id);
  let opened = 0;
  const events = resumeEvents<T>({
    signal,
    pauseMs: PAUSE_MS,
    open(after, streamSignal) {
      opened += 1;
      if (opened === 2) terminal.note('The connection was cut; this goes on when it is back.');
      return open(after, streamSignal);
    },
  });
  for await (const event of events) await each(event.data);
  return await patiently(() => getOrder(context, id), signal);
}

async function getOrder({ compute, signal }: Context, id: string): Promise<OrderView> {
  return await compute().getOrder({ params: { id } }, { signal });
}

/** Calls until it succeeds, or fails in a way that trying again does not mend: following outlasts a restart. */
async function patiently<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let wait: number = PAUSE_MS.first; ; wait = Math.min(wait * 2, PAUSE_MS.most)) {
    try {
      return await call();
    } catch (error) {
      if (!isPlatformError(error) || !error.retry) throw error;
      await pause(wait, undefined, { signal });
    }
  }
}
