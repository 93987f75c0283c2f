import type { OrderKind } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import type { ExitCode } from '../exit-codes.ts';
import { watchOrder } from '../orders/watch-order.ts';

/** What is asked for after an order is accepted. */
export interface AfterOrder {
  readonly watch?: boolean;
  readonly quiet?: boolean;
}

/** An order that the platform has accepted. */
export interface AcceptedOrder {
  readonly id: string;
  readonly kind: OrderKind;
  /** learn: the id that its model will have. */
  readonly model_end?: string;
}

/** Adds the options of {@link AfterOrder}. */
export function orderOptions(command: Command): Command {
  return command
    .option('-w, --watch', 'watch the order until it ends; the exit code tells how')
    .option('-q, --quiet', "print the order's id alone");
}

/** Tells that an order was accepted, and watches it where that is asked for. */
export async function afterOrder(
  context: Context,
  order: AcceptedOrder,
  options: AfterOrder,
): Promise<ExitCode | undefined> {
  const { terminal } = context;
  const quiet = options.quiet === true;
  const watch = options.watch === true;
  if (!watch || !terminal.json) {
    await terminal.result(order, () => (quiet ? order.id : describe(context, order)));
  }
  if (watch) return await watchOrder(context, order.id);
  if (!quiet && !terminal.json) terminal.note(`Watch it with: morpheo orders watch ${order.id.slice(0, 8)}`);
  return undefined;
}

function describe({ terminal: { paint } }: Context, { id, kind, model_end }: AcceptedOrder): string {
  const head = `${paint('green', '✓')} ${kind} order ${paint('bold', id)}`;
  return model_end === undefined ? head : `${head}\n  ${paint('dim', `its model will be  ${model_end}`)}`;
}
