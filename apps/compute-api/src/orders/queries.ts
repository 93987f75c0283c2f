import {
  hasEnded,
  MOST_COUNTED,
  ORDER_KINDS,
  ORDER_STATUSES,
  type OrderKind,
  type OrderStatus,
  type OrderSummary,
  type OrderView,
  PAGE,
  PlatformError,
} from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';
import {
  type Counted,
  countOf,
  isUnsuccessful,
  newestOf,
  type Place,
  RARE,
  type Range,
} from '../db/ranges.ts';
import type { EventRow, OrderRow, RemovedOrderRow } from '../db/schema.ts';
import { limitsOf, type Seen, type Viewer } from '../disclosure/shown.ts';
import { keptOwner, mayWithGroups } from '../owners/owners.ts';
import { findRemoved } from '../retention/removed-orders.ts';
import { attemptViewOf, summaryOf, time } from './views.ts';

/** What a list is narrowed to. */
export interface OrderFilter {
  readonly kind?: OrderKind | undefined;
  readonly status?: OrderStatus | undefined;
  readonly problem?: string | undefined;
  readonly algo?: string | undefined;
  /** As `/v1` shows it. */
  readonly owner?: string | undefined;
  /** Of the owner; of the viewer where none is named. */
  readonly group?: string | undefined;
  /** `name=value`, of jobs that the viewer may see. */
  readonly label?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** How many bytes of orders a page has before it ends, in what is stored of them: lists of data sets may be long. */
const PAGE_BYTES = 2 ** 20;

/** A page of orders, newest first: it ends by their number or their bytes, whichever comes first. Throws `invalid_request` for a cursor that is not one of ours. */
export async function listOrders(
  { read }: ComputeDatabase,
  filter: OrderFilter,
  viewer: Viewer,
): Promise<{ items: OrderSummary[]; next?: string } & Counted> {
  if (filter.group !== undefined && !mayWithGroups('see', ownerIn(filter, viewer) ?? '', viewer))
    return { items: [], total: 0 };
  const ranges = rangesOf(filter, viewer);
  const limit = filter.limit ?? PAGE.usual;
  const after = filter.cursor === undefined ? undefined : readCursor(filter.cursor);
  const found = await newestOf(read, ranges, { after, most: limit + 1 });
  const counted = await countOf(read, ranges, MOST_COUNTED);
  const sizes = found.slice(0, limit).map(({ bytes }) => bytes);
  const page = found.slice(0, fitting(sizes, PAGE_BYTES));
  const last = page.at(-1);
  const next = found.length > page.length && last !== undefined ? { next: cursorOf(last) } : {};
  const rows = await rowsOf(
    read,
    page.map(({ id }) => id),
  );
  return { items: rows.map((row) => summaryOf(row, viewer)), ...counted, ...next };
}

/** How many things of these sizes make a page: one at least, and as many as are no more than `most` together. */
export function fitting(sizes: readonly number[], most: number): number {
  let sum = 0;
  const over = sizes.findIndex((size) => {
    sum += size;
    return sum > most;
  });
  return over === -1 ? sizes.length : Math.max(1, over);
}

async function rowsOf(read: ComputeDatabase['read'], ids: readonly string[]): Promise<OrderRow[]> {
  if (ids.length === 0) return [];
  return await read
    .selectFrom('orders')
    .selectAll()
    .where('id', 'in', ids)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute();
}

/** The order's row. Throws `not_found`. */
export async function orderRow({ read }: ComputeDatabase, id: string): Promise<OrderRow> {
  const row = await read.selectFrom('orders').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw noSuchOrder(id, await findRemoved({ db: read }, id));
  return row;
}

/** How far an order is, and what decides who sees what of it: the few columns that who follows it asks for again and again. */
export async function orderNow(
  { read }: ComputeDatabase,
  id: string,
): Promise<Seen & Pick<OrderRow, 'status' | 'events'>> {
  const row = await read
    .selectFrom('orders')
    .select(['kind', 'owner', 'pin', 'round', 'sample_of', 'status', 'events'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (row === undefined) throw noSuchOrder(id, await findRemoved({ db: read }, id));
  return row;
}

/** What is thrown where there is no order of an id, or none any more. */
export function noSuchOrder(
  id: string,
  removed: Pick<RemovedOrderRow, 'removed_at'> | undefined,
): PlatformError {
  const why =
    removed === undefined
      ? ''
      : ` any more: it had ended, and was removed because of its age at ${time(Number(removed.removed_at))}`;
  return new PlatformError('not_found', `There is no order ${id}${why}.`);
}

/** An order with its attempts, and what of it the viewer does not see. */
export async function orderView(
  { read }: ComputeDatabase,
  row: OrderRow,
  viewer: Viewer,
): Promise<OrderView> {
  const attempts = await read
    .selectFrom('attempts')
    .selectAll()
    .where('order_id', '=', row.id)
    .orderBy('attempt')
    .execute();
  const steps = await read
    .selectFrom('events')
    .selectAll()
    .where('order_id', '=', row.id)
    .where('what', '=', 'step_ended')
    .orderBy('n')
    .execute();
  const sample = await read
    .selectFrom('orders')
    .select('id')
    .where('sample_of', '=', row.id)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  const shown = limitsOf(viewer, row);
  return {
    ...summaryOf(row, viewer),
    ...(shown === undefined ? {} : { shown }),
    ...(sample === undefined ? {} : { sample_order: sample.id }),
    attempts: attempts.map((attempt) => attemptViewOf(attempt, steps, row, viewer)),
  };
}

/** Entries of an order's history after entry `n`, at most 500. */
export async function eventsAfter({ read }: ComputeDatabase, id: string, n: number): Promise<EventRow[]> {
  return await read
    .selectFrom('events')
    .selectAll()
    .where('order_id', '=', id)
    .where('n', '>', n)
    .orderBy('n')
    .limit(500)
    .execute();
}

/** How many orders are in each state, counted up to {@link MOST_COUNTED}, and of which there are more. */
export async function countOrders({
  read,
}: ComputeDatabase): Promise<{ counts: Record<string, number>; more?: OrderStatus[] }> {
  const counted = await Promise.all(
    ORDER_STATUSES.map(async (status) => ({
      status,
      ...(await countOf(read, [(row) => row('status', '=', status)], MOST_COUNTED)),
    })),
  );
  const more = counted.flatMap((one) => (one.more === true ? one.status : []));
  const there = counted.filter(({ total }) => total > 0);
  return {
    counts: Object.fromEntries(there.map(({ status, total }) => [status, total])),
    ...(more.length === 0 ? {} : { more }),
  };
}

/**
 * The ranges of indexes that have what a list is narrowed to. Where it names no kind, or no state, there is one for each:
 * the indexes have them before the time.
 */
function rangesOf(filter: OrderFilter, viewer: Viewer): Range[] {
  const { kind, status, problem, algo, group: group_name, label } = filter;
  const by = { problem, algo, owner: ownerIn(filter, viewer) };
  const isBy = Object.values(by).some((value) => value !== undefined);
  if (label !== undefined) return [and(equal({ kind, status, group_name, ...by }), labelled(label, viewer))];
  if (group_name !== undefined) return [equal({ kind, status, group_name, ...by })];
  if (status === undefined) {
    if (isBy) return kindsOf(kind).map((each) => equal({ kind: each, ...by }));
    if (kind === undefined) return [equal({})];
    return ORDER_STATUSES.map((each) => equal({ kind, status: each }));
  }
  if (isBy && isUnsuccessful(status)) return [and(equal({ kind, status, ...by }), () => RARE.unsuccessful)];
  if (isBy && !hasEnded(status)) {
    if (by.owner !== undefined) return [and(equal({ kind, status, ...by }), () => RARE.open)];
    // By what is open alone: it is less than a history.
    return kindsOf(kind).map((each) => and(equal({ kind: each, status }), beside(by)));
  }
  if (isBy) return kindsOf(kind).map((each) => and(equal({ kind: each, ...by }), beside({ status })));
  return kindsOf(kind).map((each) => equal({ kind: each, status }));
}

function kindsOf(kind: OrderKind | undefined): readonly OrderKind[] {
  return kind === undefined ? ORDER_KINDS : [kind];
}

type Columns = Partial<
  Record<'kind' | 'status' | 'problem' | 'algo' | 'owner' | 'group_name', string | undefined>
>;

function equal(columns: Columns): Range {
  return (row) => row.and(present(columns));
}

/** The same, so that no index is chosen by it. */
function beside(columns: Columns): Range {
  const parts = Object.entries(present(columns));
  return (row) => row.and(parts.map(([name, value]) => sql<boolean>`${sql.ref(name)} || '' = ${value}`));
}

function present(columns: Columns): Record<string, string> {
  return Object.fromEntries(
    Object.entries(columns).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function and(...ranges: readonly Range[]): Range {
  return (row) => row.and(ranges.map((range) => range(row)));
}

function labelled(label: string, viewer: Viewer): Range {
  return (row) => {
    const orders = row.selectFrom('order_labels').select('order_id').where('label', '=', label);
    const isLabelled = row('id', 'in', orders);
    return viewer.forOthers ? isLabelled : row.and([isLabelled, row('owner', '=', keptOwner(viewer.name))]);
  };
}

/** The owner as it is kept: where a group is named without one, the viewer. */
function ownerIn({ owner, group }: OrderFilter, viewer: Viewer): string | undefined {
  if (owner !== undefined) return keptOwner(owner);
  return group === undefined ? undefined : keptOwner(viewer.name);
}

function cursorOf(row: Place): string {
  return `${row.created_at}.${row.id}`;
}

function readCursor(cursor: string): Place {
  const match = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(cursor);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new PlatformError(
      'invalid_request',
      'query.cursor: should be the `next` of an earlier page, unchanged',
    );
  }
  return { created_at: Number(match[1]), id: match[2] };
}
