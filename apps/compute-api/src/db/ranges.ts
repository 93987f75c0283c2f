import type { OrderStatus } from '@morpheo/common';
import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql } from 'kysely';
import type { OrderRow, Schema } from './schema.ts';

/**
 * Orders by ranges of their indexes. An engine reads one range of an index in order, and stops when it has what a page
 * takes; but of several, as for an order of any kind, it reads all, and sorts them. So several ranges are asked for one by
 * one, and what each has first is merged.
 */

/** A query's row of `orders`. */
export type Row = ExpressionBuilder<Schema, 'orders'>;

/** Which orders: no two ranges of a list have the same order. */
export type Range = (row: Row) => Expression<SqlBool>;

/** A place in a list, the newest first. */
export type Place = Pick<OrderRow, 'created_at' | 'id'>;

/** A number of things, which were counted up to a bound. */
export interface Counted {
  readonly total: number;
  /** True where there are more than `total`; absent where there are as many. */
  readonly more?: true;
}

/** What failed or was cancelled, and what has not ended; written out, for the indexes of these alone. */
export const RARE = {
  unsuccessful: sql<boolean>`status in ('failed', 'cancelled')`,
  open: sql<boolean>`status in ('waiting', 'todo', 'pending')`,
};

/** True of a state that {@link RARE}`.unsuccessful` has. */
export function isUnsuccessful(status: OrderStatus): boolean {
  return status === 'failed' || status === 'cancelled';
}

/** The newest orders of ranges, after a place where one is given: so many at most, and how many bytes each has. */
export async function newestOf(
  read: Kysely<Schema>,
  ranges: readonly Range[],
  { after, most }: { readonly after: Place | undefined; readonly most: number },
): Promise<(Place & { readonly bytes: number })[]> {
  const [first, ...others] = ranges.map((range, n) =>
    read
      .selectFrom(
        read
          .selectFrom('orders')
          .select(['id', 'created_at'])
          .where((row) => row.and([range(row), after === undefined ? row.lit(true) : olderThan(row, after)]))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(most)
          .as(`range_${n}`),
      )
      .select(['id', 'created_at']),
  );
  if (first === undefined) return [];
  const merged = others.reduce((query, other) => query.unionAll(other), first);
  const rows = await read
    .selectFrom(merged.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(most).as('page'))
    .innerJoin('orders', 'orders.id', 'page.id')
    .select(['page.id', 'page.created_at'])
    .select(sql<number>`octet_length(orders.spec) + coalesce(octet_length(orders.result), 0)`.as('bytes'))
    .orderBy('page.created_at', 'desc')
    .orderBy('page.id', 'desc')
    .execute();
  return rows.map(({ id, created_at, bytes }) => ({ id, created_at, bytes: Number(bytes) }));
}

/** How many orders ranges have, counted up to `most`: so no count takes longer because there is more. */
export async function countOf(
  read: Kysely<Schema>,
  ranges: readonly Range[],
  most: number,
): Promise<Counted> {
  const [first, ...others] = ranges.map((range) =>
    read
      .selectFrom('orders')
      .select((row) => row.lit(1).as('one'))
      .where(range),
  );
  if (first === undefined) return { total: 0 };
  const all = others.reduce((query, other) => query.unionAll(other), first);
  const { n } = await read
    .selectFrom(all.limit(most + 1).as('counted'))
    .select((row) => row.fn.countAll<number | string>().as('n'))
    .executeTakeFirstOrThrow();
  return upTo(most, Number(n));
}

/** What is told of a number that was counted up to one more than `most`. */
export function upTo(most: number, counted: number): Counted {
  return counted > most ? { total: most, more: true } : { total: counted };
}

/** As one comparison of two columns: of an `or`, engines read all that is newer. */
function olderThan(row: Row, after: Place) {
  return row(row.refTuple('created_at', 'id'), '<', row.tuple(after.created_at, after.id));
}
