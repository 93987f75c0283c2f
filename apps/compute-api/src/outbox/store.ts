import { PlatformError } from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow } from '../db/schema.ts';
import {
  type Called,
  type DueEffect,
  type Effect,
  type Lane,
  PIN_ORDER,
  type SettleWaiting,
  type SingleEffect,
} from './effects.ts';

/** Orders that storage is to check, as {@link takeEffects} takes effects. */
export async function takePins(tx: Tx, most: number, holdMs: number): Promise<DueEffect[]> {
  return await takeDue(tx, 'pins', most, holdMs);
}

/**
 * The effects that are due and have a call of their own, at most `most`, the first of each order's lane alone. They are
 * put off by `holdMs` before they are returned, so that nobody else tries them meanwhile, and somebody does if this
 * process dies.
 */
export async function takeEffects(
  tx: Tx,
  most: number,
  holdMs: number,
  which: Exclude<Called, 'pins'> = 'others',
): Promise<DueEffect<SingleEffect>[]> {
  // Where it is no pin, it has a call of its own.
  return (await takeDue(tx, which, most, holdMs)) as DueEffect<SingleEffect>[];
}

async function takeDue({ db, now }: Tx, which: Called, most: number, holdMs: number): Promise<DueEffect[]> {
  const rows = await db
    .selectFrom('outbox')
    .selectAll()
    .select((row) =>
      row
        .selectFrom('orders')
        .select('orders.trace')
        .whereRef('orders.id', '=', 'outbox.order_id')
        .as('trace'),
    )
    .where('due_at', '<=', now)
    .where('effect', which === 'pins' ? '=' : '<>', JSON.stringify(PIN_ORDER))
    .where(
      'lane',
      which === 'callbacks' ? '=' : 'not in',
      which === 'callbacks' ? 'callback' : ['orders', 'callback'],
    )
    .where((row) =>
      row.not(
        row.exists(
          row
            .selectFrom('outbox as earlier')
            .select('earlier.n')
            .whereRef('earlier.order_id', '=', 'outbox.order_id')
            .whereRef('earlier.lane', '=', 'outbox.lane')
            .whereRef('earlier.n', '<', 'outbox.n'),
        ),
      ),
    )
    .orderBy('due_at')
    .limit(most)
    .forUpdate()
    .skipLocked()
    .execute();
  if (rows.length === 0) return [];
  const taken = sql.join(rows.map(({ order_id, n }) => sql`(${order_id}, ${sql.lit(n)})`));
  await db
    .updateTable('outbox')
    .set({ due_at: sql<number>`${now} + ${holdMs}` })
    .where(sql<boolean>`(order_id, n) in (values ${taken})`)
    .execute();
  return rows.map((row) => ({
    order: row.order_id,
    n: row.n,
    tries: row.tries,
    effect: JSON.parse(row.effect) as Effect,
    trace: row.trace,
  }));
}

/** Takes the effect out that has waited longest to settle orders; undefined where there is none. */
export async function takeSettling({
  db,
  now,
}: Tx): Promise<{ readonly order: string; readonly effect: SettleWaiting } | undefined> {
  // Written out, for the index of this lane alone.
  const due = await db
    .selectFrom('outbox')
    .select(['order_id', 'n', 'effect'])
    .where(sql<boolean>`lane = 'orders'`)
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .limit(1)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  if (due === undefined) return undefined;
  await db.deleteFrom('outbox').where('order_id', '=', due.order_id).where('n', '=', due.n).execute();
  return { order: due.order_id, effect: JSON.parse(due.effect) as SettleWaiting };
}

/** Effects of different orders have happened; their rows go. Resolves with the orders whose effects were there. */
export async function settleEffects(tx: Tx, due: readonly DueEffect[]): Promise<ReadonlySet<string>> {
  if (due.length === 0) return new Set();
  const rows = due.map(({ order: id, n }) => ({ id, n }));
  const { rows: settled } = await sql<{ order_id: string }>`
    delete from outbox where (order_id, n) in (select id, n from ${rowsOf(tx, EFFECT_KEY, rows)})
    returning order_id`.execute(tx.db);
  return new Set(settled.map(({ order_id }) => order_id));
}

const EFFECT_KEY: Columns<{ id: string; n: number }> = { id: 'text', n: 'integer' };

/** The effect did not happen: it is due again after a pause. */
export async function postponeEffect(
  { db, now }: Tx,
  due: DueEffect,
  pauseMs: number,
  error: string,
): Promise<void> {
  await db
    .updateTable('outbox')
    .set({
      tries: due.tries + 1,
      due_at: sql<number>`${now} + ${pauseMs}`,
      last_error: error.slice(0, 500),
    })
    .where('order_id', '=', due.order)
    .where('n', '=', due.n)
    .execute();
}

/** An order to be published. */
export type WakeUp = Pick<OrderRow, 'id' | 'spec' | 'trace' | 'attempt' | 'round' | 'publishes'>;

/**
 * Orders that workers are to be woken for; they are due again, should nobody take them, after `holdMs`, or a pause that
 * grows from `firstMs`. `publishes` counts this time.
 */
export async function takeWakeUps(
  { db, now }: Tx,
  most: number,
  again: { readonly firstMs: number } | { readonly holdMs: number },
): Promise<WakeUp[]> {
  const pause =
    'holdMs' in again
      ? sql.lit(again.holdMs)
      : // 2, 4, … 32 seconds, then every minute.
        sql<number>`case when publishes < 5 then ${again.firstMs} * (1 << publishes) else 60000 end`;
  return await db
    // Materialized: in place of a subquery, which PostgreSQL may run more than once, locking more rows each time.
    .with(
      (table) => table('due').materialized(),
      (rows) =>
        rows
          .selectFrom('orders')
          .select('orders.id')
          .where('status', '=', sql.lit('todo'))
          .where('publish_after', '<=', now)
          .orderBy('publish_after')
          .limit(most)
          .forNoKeyUpdate()
          .skipLocked(),
    )
    .updateTable('orders')
    .set({ publish_after: sql<number>`${now} + ${pause}`, publishes: sql<number>`publishes + 1` })
    .where('id', 'in', (row) => row.selectFrom('due').select('due.id'))
    .returning(['id', 'spec', 'trace', 'attempt', 'round', 'publishes'])
    .execute();
}

/** Rejects with `unavailable` while effects of a lane fail, with their number and the latest reason. */
export async function checkEffects({ read }: ComputeDatabase, lane: Lane): Promise<void> {
  const row = await read
    .selectFrom('outbox')
    .select((rows) => [rows.fn.countAll<number>().as('failing'), rows.fn.max('last_error').as('error')])
    .where('lane', '=', lane)
    .where('tries', '>', 0)
    .executeTakeFirstOrThrow();
  const failing = Number(row.failing);
  if (failing > 0) throw new PlatformError('unavailable', `${failing} messages wait for it: ${row.error}`);
}
