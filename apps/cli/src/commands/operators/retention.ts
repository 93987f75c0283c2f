import { ORDER_KINDS, type Removal } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { humanBytes } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

/** Adds `morpheo retention`. */
export function addRetention(program: Command, run: Runner): void {
  const command = program
    .command('retention')
    .summary('remove what has ended long ago, or show what would go')
    .description(
      'Remove orders, histories, logs and outputs that are older, or more, than the settings of compute-api keep. By ' +
        'itself that happens within minutes.',
    )
    .option('--dry-run', 'only show what would go now, and how many bytes that is')
    .action(run(retention));
  examples(command, [
    ['morpheo retention --dry-run', 'what would go now'],
    ['morpheo retention', 'remove it'],
  ]);
}

/** What went, or would go, in all calls together. */
type Sum = Omit<Removal, 'next'>;

const COLUMNS: readonly Column[] = [
  { title: 'what' },
  { title: 'count', align: 'right' },
  { title: 'bytes', align: 'right' },
];

async function retention(
  { terminal, compute, signal }: Context,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<undefined> {
  const api = compute();
  const call = async (from: string | undefined) =>
    dryRun
      ? await api.planRemoval({ query: { from } }, { signal })
      : await api.removeOld({ body: { from } }, { signal });
  let { next, ...sum } = await call(undefined);
  while (next !== undefined) {
    const more = await call(next);
    sum = added(sum, more);
    next = more.next;
  }
  await terminal.result(sum, () => {
    const title = dryRun ? 'Would go now:' : 'Removed:';
    return [title, layOut(terminal.paint, COLUMNS, rowsOf(sum))].join('\n');
  });
}

function added(a: Sum, b: Sum): Sum {
  const plus = (what: 'history' | 'logs' | 'outputs') => ({
    count: a[what].count + b[what].count,
    bytes: a[what].bytes + b[what].bytes,
  });
  const orders = { ...a.orders };
  for (const kind of ORDER_KINDS) orders[kind] += b.orders[kind];
  const amounts = { history: plus('history'), logs: plus('logs'), outputs: plus('outputs') };
  return { orders, ...amounts, ids: a.ids + b.ids, groups: a.groups + b.groups };
}

function rowsOf({ orders, history, logs, outputs, ids, groups }: Sum): string[][] {
  const row = (what: string, count: number, bytes?: number) => [
    what,
    count.toLocaleString('en'),
    bytes === undefined ? '' : humanBytes(bytes),
  ];
  return [
    ...ORDER_KINDS.map((kind) => row(`orders (${kind})`, orders[kind])),
    row('rows of orders and histories', history.count, history.bytes),
    row('pieces of logs', logs.count, logs.bytes),
    row('outputs on storage', outputs.count, outputs.bytes),
    row('ids of removed orders', ids),
    row('groups without orders', groups),
  ];
}
