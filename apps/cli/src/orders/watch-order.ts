import type { OrderView } from '@morpheo/common';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { Paint } from '../terminal/terminal.ts';
import { eventLine } from './event-text.ts';
import { failureDetails } from './failure-text.ts';
import { followOrder } from './follow-order.ts';
import { resultLine } from './order-text.ts';

/**
 * Shows what happens to an order, from its beginning, until it ends. As JSON: an event a line, and the order as it
 * ended on the last. The exit code is 0 for an order that is done, 1 for one that failed or was cancelled.
 */
export async function watchOrder(context: Context, id: string): Promise<ExitCode> {
  const { terminal, compute } = context;
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
  if (order.status === 'failed' && order.failure !== undefined) return failureDetails(paint, order.failure);
  const result = resultLine(order);
  return result === undefined ? [] : [`  ${result}`];
}
