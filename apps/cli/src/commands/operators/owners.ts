import { ANONYMOUS, MOST_WEIGHT, type OwnerView, PAGE, type Usage } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { CliError, EXIT } from '../../exit-codes.ts';
import { pages } from '../../platform/pages.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { humanBytes, oneLine } from '../../terminal/text.ts';
import { examples, readInteger } from '../arguments.ts';

/** Adds `morpheo owners`. */
export function addOwners(program: Command, run: Runner): void {
  const command = program
    .command('owners')
    .summary("list the owners; show or set an owner's weight")
    .description(
      "List the owners with their orders, bytes and shares, or show, or set, one owner's weight: while several owners have " +
        'due orders, each gets claims in proportion to it.',
    )
    .argument('[owner]', 'the name that its orders come with; anonymous for those without credentials')
    .option('--weight <n>', 'the weight (1 where it was never set)', readInteger(1, MOST_WEIGHT))
    .action(
      run(async (context, owner: string | undefined, options: { weight?: number }) => {
        if (owner !== undefined) return await weightOf(context, owner, options);
        if (options.weight === undefined) return await list(context);
        throw new CliError(EXIT.usage, 'Name the owner whose weight is to be set.');
      }),
    );
  examples(command, [
    ['morpheo owners', 'the orders, bytes and share of each owner'],
    ['morpheo owners lab', 'its weight'],
    ['morpheo owners lab --weight 3', 'three claims for each one of an owner of weight 1'],
  ]);
}

async function weightOf(
  { terminal, compute, signal }: Context,
  owner: string,
  { weight }: { weight?: number },
): Promise<undefined> {
  const params = { owner };
  const now =
    weight === undefined
      ? await compute().getOwner({ params }, { signal })
      : await compute().setOwner({ params, body: { weight } }, { signal });
  await terminal.result(now, () => `${terminal.paint('dim', 'weight')}  ${now.weight}`);
}

type Used = Usage['owners'][number];

/** An owner of orders, of bytes, or of both. */
interface Row {
  readonly owner: string;
  readonly orders: OwnerView | undefined;
  readonly used: Used | undefined;
}

const COLUMNS: readonly Column[] = [
  { title: 'owner' },
  { title: 'weight', align: 'right' },
  { title: 'share' },
  { title: 'waiting', align: 'right' },
  { title: 'due', align: 'right' },
  { title: 'running', align: 'right' },
  { title: 'bytes', align: 'right' },
  { title: 'quota', align: 'right' },
];

async function list({ terminal, compute, storage, signal }: Context): Promise<undefined> {
  const used = await storage().usage({}, { signal });
  const all = pages((cursor) => compute().listOwners({ query: { limit: PAGE.most, cursor } }, { signal }));
  const views = (await Array.fromAsync(all)).flatMap((page) => page.items);
  const rows = joined(views, used.owners);
  const items = rows.map(({ owner, orders, used: bytes }) => ({ owner, orders, usage: bytes }));
  await terminal.result({ items }, () =>
    rows.length === 0
      ? 'Nobody has ordered or uploaded anything.'
      : layOut(terminal.paint, COLUMNS, rows.map(cellsOf)),
  );
}

/** Storage has no name for who came without credentials. */
function joined(views: readonly OwnerView[], used: readonly Used[]): Row[] {
  const bytes = new Map(used.map((one) => [one.owner === '' ? ANONYMOUS : one.owner, one]));
  const orders = new Map(views.map((one) => [one.owner, one]));
  const names = [...new Set([...orders.keys(), ...bytes.keys()])].sort((a, b) => (a < b ? -1 : 1));
  return names.map((owner) => ({ owner, orders: orders.get(owner), used: bytes.get(owner) }));
}

function cellsOf({ owner, orders, used }: Row): string[] {
  const { weight = 1, waiting = 0, due = 0, running = 0, share = {} } = orders ?? {};
  const parts = Object.entries(share).map(([kind, part]) => `${kind} ${Math.round((part ?? 0) * 100)} %`);
  return [
    oneLine(owner, 40),
    String(weight),
    parts.join(', ') || '–',
    ...[waiting, due, running].map((count) => count.toLocaleString('en')),
    humanBytes((used?.bytes ?? 0) + (used?.reserved_bytes ?? 0)),
    used?.quota === undefined ? '–' : humanBytes(used.quota),
  ];
}
