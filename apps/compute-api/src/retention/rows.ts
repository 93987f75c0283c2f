import { type RawBuilder, sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import { forgetJobTerms } from '../orders/job-terms.ts';
import { noteRemoved } from './removed-orders.ts';

/** How many rows beside those of the orders a transaction removes at most. */
const ROWS = 1000;

/** A number of rows, and the bytes of the texts in them: what indexes and the heads of rows take comes on top. */
export interface Amount {
  readonly count: number;
  readonly bytes: number;
}

/** No rows. */
export const NONE: Amount = { count: 0, bytes: 0 };

/** Both together. */
export function plus(a: Amount, b: Amount): Amount {
  return { count: a.count + b.count, bytes: a.bytes + b.bytes };
}

/** What belongs to orders, apart: their rows and those of their attempts and histories, and of their logs. */
export interface OrderAmounts {
  readonly history: Amount;
  readonly logs: Amount;
}

/** A table of what belongs to orders. */
interface Part {
  readonly table: 'logs' | 'events' | 'attempts' | 'orders';
  readonly order: string;
  /** The columns of its primary key. */
  readonly key: readonly string[];
  /** The bytes of a row. */
  readonly bytes: RawBuilder<number>;
}

const LOGS: Part = {
  ...{ table: 'logs', order: 'order_id', key: ['order_id', 'attempt', 'seq'] },
  bytes: lengths(['text']),
};
const EVENTS: Part = {
  ...{ table: 'events', order: 'order_id', key: ['order_id', 'n'] },
  bytes: lengths(['order_id', 'what', 'status', 'details']),
};
const ATTEMPTS: Part = {
  ...{ table: 'attempts', order: 'order_id', key: ['order_id', 'attempt'] },
  bytes: lengths(['order_id', 'worker', 'boot', 'failure', 'report']),
};
const ORDERS: Part = {
  ...{ table: 'orders', order: 'id', key: ['id'] },
  bytes: lengths(['id', 'spec', 'identity', 'problem', 'workflow', 'pin', 'result', 'failure']),
};

function lengths(columns: readonly string[]): RawBuilder<number> {
  return sql.join(
    columns.map((column) => sql<number>`coalesce(octet_length(${sql.ref(column)}), 0)`),
    sql` + `,
  );
}

/** What there is of orders. */
export async function amountsOf(
  read: ComputeDatabase['read'],
  ids: readonly string[],
): Promise<OrderAmounts> {
  let history = NONE;
  for (const part of [EVENTS, ATTEMPTS, ORDERS]) history = plus(history, await amountIn(read, part, ids));
  return { history, logs: await logsOf(read, ids) };
}

/** How much log there is of orders. */
export async function logsOf(read: ComputeDatabase['read'], ids: readonly string[]): Promise<Amount> {
  return await amountIn(read, LOGS, ids);
}

async function amountIn(
  read: ComputeDatabase['read'],
  { table, order, bytes }: Part,
  ids: readonly string[],
): Promise<Amount> {
  if (ids.length === 0) return NONE;
  const { rows } = await sql<Amount>`
    select count(*) as count, coalesce(sum(${bytes}), 0) as bytes from ${sql.table(table)}
    where ${sql.ref(order)} in (${sql.join(ids)})`.execute(read);
  return { count: Number(rows[0]?.count), bytes: Number(rows[0]?.bytes) };
}

/** What one transaction has removed, and whether it has left some of what it was to remove to the next. */
export interface Removed extends OrderAmounts {
  readonly orders: readonly string[];
  readonly isLeft: boolean;
}

/**
 * Removes orders that this transaction has locked, with all that belongs to them; where that is much, some of it, and the
 * orders stay.
 */
export async function removeOrders(tx: Tx, ids: readonly string[]): Promise<Removed> {
  const logs = await removeLogs(tx, ids);
  const events = await removeSome(tx, EVENTS, ids, ROWS - logs.count);
  const attempts = await removeSome(tx, ATTEMPTS, ids, ROWS - logs.count - events.count);
  const rows = plus(events, attempts);
  if (logs.count + rows.count >= ROWS || ids.length === 0) {
    return { orders: [], history: rows, logs, isLeft: ids.length > 0 };
  }
  await noteRemoved(tx, ids);
  await forgetJobTerms(tx, ids);
  await tx.db.deleteFrom('foreign_messages').where('order_id', 'in', ids).execute();
  const orders = await removeSome(tx, ORDERS, ids, ids.length);
  return { orders: ids, history: plus(rows, orders), logs, isLeft: false };
}

/** Removes logs of orders that this transaction has locked; {@link areMoreLogs} of the amount says whether some are left. */
export async function removeLogs(tx: Tx, ids: readonly string[]): Promise<Amount> {
  return await removeSome(tx, LOGS, ids, ROWS);
}

/** Whether a transaction that has removed so much of logs may have left some. */
export function areMoreLogs({ count }: Amount): boolean {
  return count >= ROWS;
}

async function removeSome(
  { db }: Tx,
  { table, order, key, bytes }: Part,
  ids: readonly string[],
  most: number,
): Promise<Amount> {
  if (ids.length === 0 || most <= 0) return NONE;
  const columns = sql.join(key.map((column) => sql.ref(column)));
  const { rows } = await sql<{ bytes: number }>`
    delete from ${sql.table(table)} where (${columns}) in (
      select ${columns} from ${sql.table(table)} where ${sql.ref(order)} in (${sql.join(ids)}) limit ${sql.lit(most)})
    returning ${bytes} as bytes`.execute(db);
  return { count: rows.length, bytes: rows.reduce((sum, row) => sum + Number(row.bytes), 0) };
}
