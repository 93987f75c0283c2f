import { type RawBuilder, sql } from 'kysely';
import { type ComputeDatabase, type Tx, WITHOUT_WAITING } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { changeOrder } from '../orders/store.ts';
import { type DueEffect, laneOf } from './effects.ts';

/** An effect that was taken out, and its order, locked for this transaction. */
export interface Settled {
  readonly order: OrderRow;
  /** Whether its lane of the order has further effects. */
  readonly isMore: boolean;
}

/** The effect has happened: its row goes, and its order is locked. Undefined where it, or the order, was gone already. */
export async function settleAndTake(tx: Tx, due: DueEffect): Promise<Settled | undefined> {
  const { db, engine } = tx;
  const gone = db
    .deleteFrom('outbox')
    .where('order_id', '=', due.order)
    .where('n', '=', due.n)
    .returning('order_id');
  const lane = laneOf(due.effect);
  const take = (id: RawBuilder<unknown>) => sql`
    select orders.*, (
      select count(*) from outbox where order_id = orders.id and lane = ${sql.lit(lane)} and n <> ${due.n}) as left_in_lane
    from orders where id = ${id}`;
  if (engine === 'sqlite' && (await gone.executeTakeFirst()) === undefined) return undefined;
  const all =
    engine === 'sqlite'
      ? take(sql`${due.order}`)
      : sql`with gone as (${gone}) ${take(sql`(select order_id from gone)`)} for update`;
  const [row] = (await all.$castTo<OrderRow & { left_in_lane: number | string }>().execute(db)).rows;
  if (row === undefined) return undefined;
  const { left_in_lane, ...order } = row;
  return { order, isMore: Number(left_in_lane) > 0 };
}

/**
 * The effect has happened, and nothing but that is to be noted of its order. Returns whether its lane of the order has
 * further effects. The commit need not wait for the disk: what is lost with it happens once more.
 */
export async function settleAndTell(
  database: ComputeDatabase,
  due: DueEffect,
  details: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  if (database.engine === 'postgres') return await tellAtOnce(database, due, details);
  return await database.write(async (tx) => {
    const settled = await settleAndTake(tx, due);
    if (settled === undefined) return false;
    await changeOrder(tx, settled.order, { event: 'told', details });
    return settled.isMore;
  });
}

/** In one statement, which is a transaction by itself. */
async function tellAtOnce(
  database: ComputeDatabase,
  { order: id, n, effect }: DueEffect,
  details: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const { rows } = await sql<OrderRow & { left_in_lane: string; waits: string }>`
    with gone as (delete from outbox where order_id = ${id} and n = ${n} returning order_id),
      changed as (update orders set events = events + 1 where id = (select order_id from gone) returning *),
      noted as (
        insert into events (order_id, n, at, attempt, what, status, details)
        select id, events, ${database.now}, attempt, 'told', status, ${JSON.stringify(details)} from changed)
    select changed.*, ${WITHOUT_WAITING} as waits, (
      select count(*) from outbox where order_id = changed.id and lane = ${sql.lit(laneOf(effect))} and n <> ${n}
    ) as left_in_lane from changed`.execute(database.read);
  const [row] = rows;
  if (row === undefined) return false;
  const { left_in_lane, waits: _, ...order } = row;
  database.announce([{ event: 'told', order, ran: order.lease_until !== null }]);
  return Number(left_in_lane) > 0;
}
