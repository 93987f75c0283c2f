import {
  type FailureReason,
  type GroupCounts,
  MOST_COUNTED,
  ORDER_STATUSES,
  type OrderGroup,
  type OrderGroupView,
  type OrderStatus,
  PAGE,
  PlatformError,
} from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import { type Counted, upTo } from '../db/ranges.ts';
import type { OrderGroupRow } from '../db/schema.ts';
import { coarseMoment } from '../disclosure/redact.ts';
import type { Viewer } from '../disclosure/shown.ts';
import { fitting } from '../orders/queries.ts';
import { time } from '../orders/views.ts';
import { shownOwner } from '../owners/owners.ts';
import type { GroupKey } from './store.ts';

/**
 * How the orders of groups stand. No figure is kept: all are counted when somebody asks, in one index which has what is
 * asked for, so that they are always those of the orders. A group has so few orders that this takes milliseconds, and the
 * orders pay for nothing but that index.
 */

/** How many orders the groups of a page have together before it ends. */
const PAGE_ORDERS = 50_000;
/** Of how many problem workflows the best score is told. */
const MOST_BEST = 10;

/** A page of an owner's groups, newest first. Throws `invalid_request` for a cursor that is not one of ours. */
export async function listGroups(
  { read }: ComputeDatabase,
  owner: string,
  query: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
): Promise<{ items: OrderGroup[]; next?: string } & Counted> {
  const limit = query.limit ?? PAGE.usual;
  const after = query.cursor === undefined ? undefined : readCursor(query.cursor);
  const found = await read
    .selectFrom('order_groups')
    .selectAll()
    .where('owner', '=', owner)
    .where((row) =>
      after === undefined
        ? row.lit(true)
        : row(row.refTuple('created_at', 'name'), '<', row.tuple(after.at, after.name)),
    )
    .orderBy('created_at', 'desc')
    .orderBy('name', 'desc')
    .limit(limit + 1)
    .execute();
  const all = read
    .selectFrom('order_groups')
    .select('name')
    .where('owner', '=', owner)
    .limit(MOST_COUNTED + 1);
  const { n } = await read
    .selectFrom(all.as('counted'))
    .select((row) => row.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  const sizes = found.slice(0, limit).map(({ posted }) => posted);
  const page = found.slice(0, fitting(sizes, PAGE_ORDERS));
  const counts = await countsOf(
    read,
    owner,
    page.map(({ name }) => name),
  );
  const items = page.map((row) => groupOf(row, counts.get(row.name) ?? countsIn([])));
  const last = page.at(-1);
  const isCut = found.length > page.length && last !== undefined;
  return {
    items,
    ...upTo(MOST_COUNTED, Number(n)),
    ...(isCut ? { next: `${last.created_at}.${last.name}` } : {}),
  };
}

async function countsOf(
  read: ComputeDatabase['read'],
  owner: string,
  names: readonly string[],
): Promise<Map<string | null, GroupCounts>> {
  if (names.length === 0) return new Map();
  const rows = await read
    .selectFrom('orders')
    .select((row) => ['group_name', 'status', row.fn.countAll<number>().as('n')] as const)
    .where('owner', '=', owner)
    .where('group_name', 'in', names)
    .groupBy(['group_name', 'status'])
    .execute();
  const byName = Map.groupBy(rows, ({ group_name }) => group_name);
  return new Map([...byName].map(([name, counted]) => [name, countsIn(counted)]));
}

/** The numbers of orders by their state; 0 of what is not named. */
export function countsIn(
  counted: readonly { readonly status: OrderStatus; readonly n: number | string }[],
): GroupCounts {
  const counts = { waiting: 0, todo: 0, pending: 0, done: 0, failed: 0, cancelled: 0 };
  for (const { status, n } of counted) counts[status] += Number(n);
  return counts;
}

/** Whether no order of these has still to end. */
export function allEnded({ waiting, todo, pending }: GroupCounts): boolean {
  return waiting + todo + pending === 0;
}

function groupOf(row: OrderGroupRow, counts: GroupCounts): OrderGroup {
  const { name, owner, created_at, asked, asked_by, asked_at, under_way } = row;
  return {
    ...{ name, owner: shownOwner(owner), created_at: time(Number(created_at)) },
    orders: ORDER_STATUSES.reduce((sum, status) => sum + counts[status], 0),
    counts,
    ...(asked === null
      ? {}
      : {
          asked: {
            what: asked === 'cancel' ? ('cancel' as const) : ('retry' as const),
            by: asked_by ?? '',
            at: time(Number(asked_at)),
            under_way: under_way === 1,
          },
        }),
  };
}

/** Orders of a group that are alike, together. */
interface Alike {
  readonly status: OrderStatus;
  readonly reason: FailureReason | null;
  readonly workflow: string;
  readonly n: number | string;
  readonly scores: number | string;
  readonly score: number | null;
  readonly created_at: number | string;
  readonly ended_at: number | string | null;
}

/** A group with what came of its orders, as a viewer may see it who may see the group. */
export async function groupView(
  { read }: ComputeDatabase,
  row: OrderGroupRow,
  viewer: Viewer,
): Promise<OrderGroupView> {
  const alike: readonly Alike[] = await read
    .selectFrom('orders')
    .select(({ fn }) => [
      ...(['status', 'reason', 'workflow'] as const),
      fn.countAll<number>().as('n'),
      fn.count<number>('score').as('scores'),
      fn.max('score').as('score'),
      fn.max('created_at').as('created_at'),
      fn.max('ended_at').as('ended_at'),
    ])
    .where('owner', '=', row.owner)
    .where('group_name', '=', row.name)
    .groupBy(['status', 'reason', 'workflow'])
    .execute();
  const counts = countsIn(alike);
  const ended = Math.max(...alike.map(({ ended_at }) => Number(ended_at)));
  return {
    ...groupOf(row, counts),
    ...(alike.length === 0
      ? {}
      : { last_created_at: time(Math.max(...alike.map(({ created_at }) => Number(created_at)))) }),
    ...(alike.length === 0 || !allEnded(counts)
      ? {}
      : { ended_at: time(viewer.admin ? ended : coarseMoment(ended)) }),
    best: await bestOf(read, row, alike),
    failures: failuresIn(alike),
  };
}

async function bestOf(
  read: ComputeDatabase['read'],
  { owner, name }: GroupKey,
  alike: readonly Alike[],
): Promise<OrderGroupView['best']> {
  const scored = alike
    .filter(({ status, score }) => status === 'done' && score !== null)
    .toSorted((a, b) => Number(b.scores) - Number(a.scores) || (a.workflow < b.workflow ? -1 : 1))
    .slice(0, MOST_BEST);
  const best: OrderGroupView['best'] = [];
  for (const { workflow, score } of scored) {
    const first = await read
      .selectFrom('orders')
      .select('id')
      .where('owner', '=', owner)
      .where('group_name', '=', name)
      .where('workflow', '=', workflow)
      .where('score', '=', score)
      .orderBy('created_at')
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    // It may be gone since it was counted.
    if (first !== undefined && score !== null) best.push({ workflow, score, order: first.id });
  }
  return best;
}

function failuresIn(alike: readonly Alike[]): OrderGroupView['failures'] {
  const failures: Partial<Record<FailureReason, number>> = {};
  for (const { status, reason, n } of alike) {
    if (status === 'failed' && reason !== null) failures[reason] = (failures[reason] ?? 0) + Number(n);
  }
  return failures;
}

function readCursor(cursor: string): { at: number; name: string } {
  const match = /^(\d{1,15})\.([\w.-]{1,100})$/.exec(cursor);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new PlatformError(
      'invalid_request',
      'query.cursor: should be the `next` of an earlier page, unchanged',
    );
  }
  return { at: Number(match[1]), name: match[2] };
}
