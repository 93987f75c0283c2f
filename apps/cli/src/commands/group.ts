import { type GroupEvent, hasEnded, type OrderGroup, type OrderGroupView, PAGE } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { followTo } from '../orders/follow.ts';
import { countsLine, endedLine, groupTable, groupText, progressOf } from '../orders/group-text.ts';
import { pages } from '../platform/pages.ts';
import { atLeast } from '../terminal/text.ts';
import { examples, readGroupName, readInteger } from './arguments.ts';

interface OwnerOption {
  readonly owner?: string;
}

interface ListOptions extends OwnerOption {
  readonly limit?: number;
  readonly cursor?: string;
  readonly all?: boolean;
}

interface RetryOptions extends OwnerOption {
  readonly cancelled?: boolean;
  readonly watch?: boolean;
}

/** Adds `morpheo group`. */
export function addGroup(program: Command, run: Runner): void {
  const group = program
    .command('group')
    .summary('list, show, watch, cancel and retry groups of orders')
    .description(
      'Groups of orders: a sweep, a chain, an array. An order is in the group that it was placed with ' +
        '("morpheo learn … --group NAME"). Groups of people are another thing: "morpheo groups".',
    );
  const list = group
    .command('list')
    .summary('list your groups, newest first')
    .description('List your groups, newest first, with how many orders are in each state.')
    .option('--owner <name>', 'those of somebody else (for admins)')
    .option('--limit <n>', `how many (default: ${PAGE.usual})`, readInteger(1, PAGE.most))
    .option('--cursor <text>', 'go on where the page before ended')
    .option('--all', 'all of them')
    .action(run(listGroups));
  examples(list, [['morpheo group list', 'your groups, and how far they are']]);

  const show = add(
    group,
    'show',
    'show how the orders of a group stand, the best score, and why orders failed',
  );
  show.action(run(showGroup));
  examples(show, [
    ['morpheo group show sweep', 'one group'],
    ['morpheo orders list --group sweep', 'its orders'],
  ]);

  const watch = add(
    group,
    'watch',
    'watch a group until all its orders have ended: a line for each that has',
  );
  watch.action(
    run(async (context, name: string, { owner }: OwnerOption) => await watchGroup(context, name, owner)),
  );
  examples(watch, [
    [
      'morpheo group watch sweep && echo done',
      'exit code 0 when all are done, 1 when one failed or was cancelled',
    ],
    [
      'morpheo group watch sweep --json',
      'the news as they come, a line each; the group as it ended on the last',
    ],
  ]);

  const cancel = add(group, 'cancel', 'end all orders of a group that have not ended; it takes in no more');
  cancel.action(run(cancelGroup));
  examples(cancel, [['morpheo group cancel sweep', 'stop all of it']]);

  const retry = add(group, 'retry', 'try those orders of a group again that failed; it takes in orders again')
    .option('--cancelled', 'also those that were cancelled')
    .option('-w, --watch', 'watch the group until all have ended; the exit code tells how');
  retry.action(run(retryGroup));
  examples(retry, [
    ['morpheo group retry sweep', 'have those tried again that failed'],
    ['morpheo group retry sweep --cancelled --watch', 'take back that it was cancelled'],
  ]);
}

function add(group: Command, name: string, summary: string): Command {
  return group
    .command(name)
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    .argument('<group>', 'its name', readGroupName)
    .option('--owner <name>', 'whose group it is (default: yours; that of another for admins)');
}

async function listGroups(context: Context, { all, ...query }: ListOptions): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const read = async (cursor: string | undefined, limit: number) =>
    await compute().listOrderGroups({ query: { ...query, limit, cursor } }, { signal });
  if (all === true) {
    const found = await Array.fromAsync(pages((cursor) => read(cursor, PAGE.most), query.cursor));
    const items = found.flatMap((page) => page.items);
    await terminal.result({ items, total: items.length }, () => tableOrNothing(context, items));
    return;
  }
  const page = await read(query.cursor, query.limit ?? PAGE.usual);
  await terminal.result(page, () => tableOrNothing(context, page.items));
  if (terminal.json || page.items.length === 0) return;
  const next = page.next === undefined ? '' : `; more: --cursor ${page.next}, or --all`;
  terminal.note(terminal.paintNote('dim', `${page.items.length} of ${atLeast(page, 'group')}${next}`));
}

function tableOrNothing({ terminal: { paint } }: Context, items: readonly OrderGroup[]): string {
  if (items.length === 0)
    return paint('dim', 'No groups. Place an order in one: morpheo learn … --group NAME');
  return groupTable(paint, items);
}

async function showGroup(context: Context, name: string, { owner }: OwnerOption): Promise<undefined> {
  const { terminal } = context;
  const group = await getGroup(context, name, owner);
  await terminal.result(group, () => groupText(terminal.paint, group));
}

async function getGroup({ compute, signal }: Context, name: string, owner?: string): Promise<OrderGroupView> {
  return await compute().getOrderGroup({ params: { name }, query: { owner } }, { signal });
}

/**
 * Shows each order of a group that ends, until all have. As JSON: the news of the group as they come, a line each, and the
 * group as it ended on the last. The exit code is 0 where all are done.
 */
async function watchGroup(context: Context, name: string, owner: string | undefined): Promise<ExitCode> {
  const { terminal, compute } = context;
  const { paint } = terminal;
  // A stream that was opened again begins with states that are known already.
  const ends = new Map<string, string>();
  const tell = async (event: GroupEvent): Promise<void> => {
    if (terminal.json) return await terminal.item(event, String);
    for (const one of event.orders) {
      const end = `${one.status} ${one.reason ?? ''}`;
      if (ends.get(one.order) === end) continue;
      ends.delete(one.order);
      if (!hasEnded(one.status)) continue;
      ends.set(one.order, end);
      const { orders } = progressOf(event.counts);
      await terminal.line(endedLine(paint, one, { ended: ends.size, orders }));
    }
  };
  const before = await getGroup(context, name, owner);
  if (!terminal.json)
    terminal.note(
      terminal.paintNote(
        'dim',
        countsLine((_look, text) => text, before),
      ),
    );
  const group = await followTo(
    context,
    (_after, signal) => compute().orderGroupEvents({ params: { name }, query: { owner } }, { signal }),
    tell,
    () => getGroup(context, name, owner),
  );
  if (terminal.json) await terminal.item(group, String);
  else await terminal.line(groupText(paint, group));
  return group.counts.done === group.orders ? EXIT.ok : EXIT.failed;
}

async function cancelGroup(context: Context, name: string, { owner }: OwnerOption): Promise<undefined> {
  const { compute, signal } = context;
  await tellAsked(
    context,
    await compute().cancelOrderGroup({ params: { name }, query: { owner } }, { signal }),
  );
}

async function retryGroup(
  context: Context,
  name: string,
  { owner, cancelled, watch }: RetryOptions,
): Promise<ExitCode | undefined> {
  const { compute, signal, terminal } = context;
  const input = { params: { name }, query: { owner }, body: { cancelled } };
  const group = await compute().retryOrderGroup(input, { signal });
  if (watch !== true || !terminal.json) await tellAsked(context, group);
  return watch === true ? await watchGroup(context, name, owner) : undefined;
}

async function tellAsked({ terminal }: Context, group: OrderGroupView): Promise<void> {
  const { paint } = terminal;
  await terminal.result(group, () => `group ${paint('bold', group.name)}: ${countsLine(paint, group)}`);
  if (!terminal.json && group.asked?.under_way === true)
    terminal.note(`It has many orders, and goes on: morpheo group watch ${group.name}`);
}
