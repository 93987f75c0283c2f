import type { OrderSummary } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { watchOrder } from '../../orders/follow.ts';
import { orderText, paintStatus, sampleLines } from '../../orders/order-text.ts';
import { resolveOrder } from '../../platform/ids.ts';
import { plain } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

const ID = 'the order: its id, or the beginning of it (4 digits or more)';

/** Adds what is done with one order: `morpheo orders show`, `watch`, `why`, `cancel` and `retry`. */
export function addOneOrder(orders: Command, run: Runner): void {
  const show = add(orders, 'show', 'show an order with its attempts, scores and failure');
  show.action(run(showOrder));
  examples(show, [['morpheo orders show 6c7a2f5e', 'one order']]);

  const watch = add(orders, 'watch', 'watch an order until it ends: a line for all that happens');
  watch.action(
    run(async (context, id: string) => await watchOrder(context, await resolveOrder(context, id))),
  );
  examples(watch, [
    [
      'morpheo orders watch 6c7a2f5e && echo done',
      'exit code 0 when it is done, 1 when it failed or was cancelled',
    ],
    ['morpheo orders watch 6c7a2f5e --json', 'an event a line, the order as it ended on the last'],
  ]);

  const why = add(orders, 'why', 'say why an order is where it is');
  why.action(run(whyOrder));
  examples(why, [['morpheo orders why 6c7a2f5e', 'for instance: no worker for its kind is alive']]);

  const cancel = add(orders, 'cancel', 'end an order that has not ended; what runs is stopped');
  cancel.action(run((context, id: string) => change(context, id, 'cancelOrder')));
  examples(cancel, [['morpheo orders cancel 6c7a2f5e', 'stop it']]);

  const retry = add(orders, 'retry', 'try an order again that failed or was cancelled');
  retry.action(run((context, id: string) => change(context, id, 'retryOrder')));
  examples(retry, [['morpheo orders retry 6c7a2f5e', 'have it tried again']]);
}

function add(orders: Command, name: string, summary: string): Command {
  const description = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return orders.command(name).summary(summary).description(description).argument('<order>', ID);
}

async function showOrder(context: Context, text: string): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const order = await compute().getOrder({ params: { id: await resolveOrder(context, text) } }, { signal });
  await terminal.result(order, () => orderText(terminal.paint, order));
}

async function whyOrder(context: Context, text: string): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const params = { id: await resolveOrder(context, text) };
  const why = await compute().whyOrder({ params }, { signal });
  const line = `${terminal.paint('bold', why.code)}  ${plain(why.sentence)}`;
  const more =
    why.code === 'ended' && !terminal.json
      ? sampleLines(await compute().getOrder({ params }, { signal }))
      : [];
  await terminal.result(why, () => [line, ...more].join('\n'));
}

async function change(
  context: Context,
  text: string,
  action: 'cancelOrder' | 'retryOrder',
): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const order = await compute()[action]({ params: { id: await resolveOrder(context, text) } }, { signal });
  await terminal.result(order, () => statusText(context, order));
}

function statusText({ terminal: { paint } }: Context, order: OrderSummary): string {
  return `order ${paint('bold', order.id)} is ${paintStatus(paint, order.status)}`;
}
