import { resumeEvents } from '@morpheo/client';
import { hasEnded, isPlatformError, type OrderView, retry, type ServerEvent } from '@morpheo/common';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { Paint } from '../terminal/terminal.ts';
import { eventLine } from './event-text.ts';
import { failureDetails, resultLine } from './order-text.ts';

/** The first and the longest pause before a connection is opened again, in milliseconds. */
const PAUSE_MS = { first: 250, most: 5_000 } as const;

/** A stream of events, opened after the event of an id or from its beginning. */
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
  await getOrder(context, id);
  return await followTo(context, open, each, () => getOrder(context, id));
}

/**
 * Hands every event of a stream to `each` until it ends by itself, as {@link followOrder} does; resolves with what `read`
 * reads then.
 */
export async function followTo<T, R>(
  { signal, terminal }: Context,
  open: OpenStream<T>,
  each: (data: T) => Promise<void>,
  read: () => Promise<R>,
): Promise<R> {
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
  // Following outlasts a restart of the service.
  return await retry(read, {
    ...{ firstMs: PAUSE_MS.first, mostMs: PAUSE_MS.most, jitter: 0, signal },
    retryIf: (error) => isPlatformError(error) && error.retry,
  });
}

async function getOrder({ compute, signal }: Context, id: string): Promise<OrderView> {
  return await compute().getOrder({ params: { id } }, { signal });
}

/**
 * Shows what happens to an order, from its beginning, until it ends. As JSON: an event a line, and the order as it
 * ended on the last. The exit code is 0 for an order that is done, 1 for one that failed or was cancelled.
 */
export async function watchOrder(context: Context, id: string): Promise<ExitCode> {
  const { terminal, compute } = context;
  const { shown, status } = await getOrder(context, id);
  if (shown !== undefined && !hasEnded(status))
    terminal.note('Steps that see data which you may not read are told when their attempt is over.');
  const order = await followOrder(
    context,
    id,
    (after, signal) =>
      compute().orderEvents({ params: { id }, headers: { 'last-event-id': after } }, { signal }),
    (event) => terminal.item(event, () => eventLine(terminal.paint, event)),
  );
  if (terminal.json) await terminal.item(order, String);
  else for (const line of endingLines(terminal.paint, order)) await terminal.line(line);
  return order.status === 'done' ? EXIT.ok : EXIT.failed;
}

/** What the last event has not said yet. */
function endingLines(paint: Paint, order: OrderView): readonly string[] {
  const { failure } = order;
  if (order.status === 'failed' && failure !== undefined) return failureDetails(paint, { ...order, failure });
  const result = resultLine(order);
  return result === undefined ? [] : [`  ${result}`];
}
