import type { Database } from '@morpheo/service/database';
import { sql } from 'kysely';
import type { OrderRow, Schema, Tx } from './schema.ts';

/**
 * An order may kill the worker that runs it, and with it what runs beside it. Which one did it is not known; so one
 * that was lost in company a few times is run alone, where it harms nobody and whatever happens is its own doing.
 */

/** So often an order may be lost beside others before it is run alone. */
export const LOSSES_BESIDE_OTHERS = 2;

/** What a worker has to do with orders that are run alone. */
export interface Solitude {
  /** How many orders it runs. */
  readonly runs: number;
  /** It runs one alone: it is given nothing else. */
  readonly isTaken: boolean;
  /** The due order that it is kept for: it is given nothing until it runs nothing, and then that order. */
  readonly keptFor: string | undefined;
  /** Whether it may be taken for one: more than half of the living workers never are, unless it is the only one. */
  readonly mayBeTaken: boolean;
}

/** Reads the {@link Solitude} of a worker; `leaseMs`: how long one that is not heard of counts as living. */
export async function solitudeOf(
  tx: Tx,
  { now }: Pick<Database<Schema>, 'now'>,
  worker: string,
  leaseMs: number,
): Promise<Solitude> {
  const mine = sql`worker = ${worker} and status = 'pending' and lease_until is not null`;
  const living = sql`select id from workers where seen_at > ${now} - ${sql.lit(leaseMs)}`;
  const { rows } = await sql<Counts & { kept_for: string | null }>`
    select
      (select count(*) from orders where ${mine}) as runs,
      (select coalesce(max(alone), 0) from orders where ${mine}) as alone,
      (select min(id) from orders where alone_on = ${worker} and alone = 1 and status = 'todo' and due_at <= ${now})
        as kept_for,
      (select count(*) from (${living}) as living) as living,
      (select count(*) from orders where alone = 1 and lease_until is not null and worker <> ${worker}) as taken,
      (select count(*) from orders where alone = 1 and alone_on <> ${worker} and alone_on in (${living})) as kept
    `.execute(tx);
  const row = rows[0];
  if (row === undefined) throw new Error('a select without a from has one row');
  const runs = Number(row.runs);
  const others = Number(row.taken) + (runs === 0 ? 0 : Number(row.kept));
  return {
    runs,
    isTaken: Number(row.alone) === 1,
    keptFor: row.kept_for ?? undefined,
    mayBeTaken: others < Math.max(1, Math.floor(Number(row.living) / 2)),
  };
}

type Counts = Readonly<Record<'runs' | 'alone' | 'living' | 'taken' | 'kept', number>>;

/** Keeps a worker for an order that this transaction holds: it gets nothing else until it has run it. */
export async function keepWorker(tx: Tx, order: OrderRow, worker: string): Promise<void> {
  if (order.alone_on === worker) return;
  await tx.updateTable('orders').set({ alone_on: worker }).where('id', '=', order.id).execute();
}

/** Whether other orders were lost, or are about to be, with the worker of an attempt that was lost. */
export async function wasBesideOthers(tx: Tx, { id, attempt, worker }: OrderRow): Promise<boolean> {
  const { rows } = await sql`
    select 1 from orders where worker = ${worker} and status = 'pending' and lease_until is not null and id <> ${id}
    union all
    select 1 from attempts other where other.worker = ${worker} and other.outcome = 'lost' and other.order_id <> ${id}
      and other.ended_at > (select started_at from attempts where order_id = ${id} and attempt = ${attempt})
    limit 1`.execute(tx);
  return rows.length > 0;
}
