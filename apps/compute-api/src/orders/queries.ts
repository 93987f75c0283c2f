import {
  type OrderKind,
  type OrderStatus,
  type OrderSummary,
  type OrderView,
  PAGE,
  PlatformError,
} from '@morpheo/common';
import { type ExpressionBuilder, sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';
import type { EventRow, OrderRow, RemovedOrderRow, Schema } from '../db/schema.ts';
import { limitsOf, type Viewer } from '../disclosure/shown.ts';
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
): Promise<{ items: OrderSummary[]; total: number; next?: string }> {
  if (filter.group !== undefined && !mayWithGroups('see', ownerIn(filter, viewer) ?? '', viewer))
    return { items: [], total: 0 };
  const matches = matching(filter, viewer);
  const limit = filter.limit ?? PAGE.usual;
  const after = filter.cursor === undefined ? undefined : readCursor(filter.cursor);
  const found = await read
    .selectFrom('orders')
    .select(['id', 'created_at'])
    .select(sql<number>`octet_length(spec) + coalesce(octet_length(result), 0)`.as('bytes'))
    .where((row) => row.and([matches(row), after === undefined ? row.lit(true) : olderThan(row, after)]))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const { total } = await read
    .selectFrom('orders')
    .select((row) => row.fn.countAll<number>().as('total'))
    .where(matches)
    .executeTakeFirstOrThrow();
  const sizes = found.slice(0, limit).map(({ bytes }) => Number(bytes));
  const page = found.slice(0, fitting(sizes, PAGE_BYTES));
  const last = page.at(-1);
  const next = found.length > page.length && last !== undefined ? { next: cursorOf(last) } : {};
  const rows = await rowsOf(
    read,
    page.map(({ id }) => id),
  );
  return { items: rows.map((row) => summaryOf(row, viewer)), total: Number(total), ...next };
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

/** How many orders are in each state. */
export async function countOrders({ read }: ComputeDatabase): Promise<Record<string, number>> {
  const rows = await read
    .selectFrom('orders')
    .select((row) => ['status', row.fn.countAll<number>().as('count')] as const)
    .groupBy('status')
    .execute();
  return Object.fromEntries(rows.map((row) => [row.status, Number(row.count)]));
}

type Row = ExpressionBuilder<Schema, 'orders'>;

function matching(filter: OrderFilter, viewer: Viewer) {
  const { kind, status, problem, algo, group: group_name, label } = filter;
  const columns = { kind, status, problem, algo, owner: ownerIn(filter, viewer), group_name };
  const wanted = Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined));
  return (row: Row) => {
    const parts = [row.and(wanted)];
    if (label !== undefined) {
      const labelled = row.selectFrom('order_labels').select('order_id').where('label', '=', label);
      parts.push(row('id', 'in', labelled));
      if (!viewer.forOthers) parts.push(row('owner', '=', keptOwner(viewer.name)));
    }
    return row.and(parts);
  };
}

/** The owner as it is kept: where a group is named without one, the viewer. */
function ownerIn({ owner, group }: OrderFilter, viewer: Viewer): string | undefined {
  if (owner !== undefined) return keptOwner(owner);
  return group === undefined ? undefined : keptOwner(viewer.name);
}

/** As one comparison of two columns: of an `or`, engines read all that is newer. */
function olderThan(row: Row, after: { at: number; id: string }) {
  return row(row.refTuple('created_at', 'id'), '<', row.tuple(after.at, after.id));
}

function cursorOf(row: Pick<OrderRow, 'created_at' | 'id'>): string {
  return `${row.created_at}.${row.id}`;
}

function readCursor(cursor: string): { at: number; id: string } {
  const match = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(cursor);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new PlatformError(
      'invalid_request',
      'query.cursor: should be the `next` of an earlier page, unchanged',
    );
  }
  return { at: Number(match[1]), id: match[2] };
}
