import {
  ORDER_KINDS,
  ORDER_STATUSES,
  type OrderKind,
  type OrderStatus,
  type OrderSummary,
  PAGE,
} from '@morpheo/common';
import { type Command, Option } from 'commander';
import type { Context, Runner } from '../../context.ts';
import type { ExitCode } from '../../exit-codes.ts';
import { orderTable } from '../../orders/order-table.ts';
import { type OrderQuery, orderPages } from '../../platform/pages.ts';
import { atLeast, jsonText } from '../../terminal/text.ts';
import { examples, readGroupName, readInteger, readLabel, readUuid } from '../arguments.ts';

interface ListOptions {
  readonly kind?: OrderKind;
  readonly status?: OrderStatus;
  readonly problem?: string;
  readonly algo?: string;
  readonly owner?: string;
  readonly group?: string;
  readonly label?: string;
  readonly limit?: number;
  readonly cursor?: string;
  readonly all?: boolean;
}

/** Adds `morpheo orders list`. */
export function addOrdersList(orders: Command, run: Runner): void {
  const command = listOptions(
    orders
      .command('list')
      .summary('list orders, newest first')
      .description('List orders, newest first.')
      .addOption(new Option('--kind <kind>', 'only orders of this kind').choices(ORDER_KINDS))
      .option('--problem <uuid>', 'only orders of this problem', readUuid),
  ).action(run(list));
  examples(command, [
    ['morpheo orders list --group sweep', 'the orders of one of your groups'],
    ['morpheo orders list --status failed', 'what failed'],
    ['morpheo orders list --all --json', 'everything, for a script: {"items":[…],"total":n}'],
  ]);
}

function listOptions(command: Command): Command {
  return command
    .addOption(new Option('--status <status>', 'only orders in this state').choices(ORDER_STATUSES))
    .option('--algo <uuid>', 'only orders of this algorithm', readUuid)
    .option('--owner <name>', 'only orders on the share of this owner')
    .option('--group <name>', 'only orders of this group (yours, or that of --owner)', readGroupName)
    .option('--label <name=value>', 'only jobs with this label', readLabel)
    .option('--limit <n>', `how many (default: ${PAGE.usual})`, readInteger(1, PAGE.most))
    .option('--cursor <text>', 'go on where the page before ended')
    .option('--all', 'all of them, page by page');
}

/** Adds `morpheo runs`. */
export function addRuns(program: Command, run: Runner): void {
  const command = listOptions(
    program
      .command('runs')
      .summary('list jobs, newest first')
      .description('List jobs, newest first: the orders that "morpheo run" places.'),
  ).action(
    run(async (context: Context, options: ListOptions) => await list(context, { ...options, kind: 'job' })),
  );
  examples(command, [
    ['morpheo runs --status failed', 'the jobs that failed'],
    ['morpheo runs --group sweep --all --json', 'all of a group, for a script'],
    ['morpheo orders show 6c7a2f5e', 'one of them, with its attempts and its failure'],
  ]);
}

async function list(context: Context, options: ListOptions): Promise<ExitCode | undefined> {
  const { all, ...query } = options;
  return all === true ? await listAll(context, query) : await listPage(context, query);
}

async function listPage(context: Context, query: OrderQuery): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const page = await compute().listOrders({ query: { limit: PAGE.usual, ...query } }, { signal });
  await terminal.result(page, () => tableOrNothing(context, page.items, query));
  if (terminal.json || page.items.length === 0) return;
  const next = page.next === undefined ? '' : `; more: --cursor ${page.next}, or --all`;
  terminal.note(terminal.paintNote('dim', `${page.items.length} of ${atLeast(page, 'order')}${next}`));
}

async function listAll(context: Context, query: OrderQuery): Promise<undefined> {
  const { terminal } = context;
  let written = 0;
  if (terminal.json) await terminal.write('{"items":[');
  for await (const page of orderPages(context, query)) {
    if (terminal.json) {
      for (const [index, order] of page.items.entries()) {
        await terminal.write(`${written + index === 0 ? '\n' : ',\n'}${jsonText(order)}`);
      }
    } else if (page.items.length > 0 || written === 0) {
      await terminal.line(tableOrNothing(context, page.items, query, written === 0));
    }
    written += page.items.length;
  }
  if (terminal.json) await terminal.line(`\n],"total":${written}}`);
}

function tableOrNothing(
  { terminal: { paint } }: Context,
  items: readonly OrderSummary[],
  { kind }: OrderQuery,
  head = true,
): string {
  if (items.length > 0) return orderTable(paint, items, head);
  return paint('dim', kind === 'job' ? 'No jobs.' : 'No orders.');
}
