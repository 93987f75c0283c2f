import { PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { sql } from 'kysely';
import type { Effect } from './effects.ts';
import { FIRST_PAUSE_MS } from './order-store.ts';
import type { OrderRow, OutboxRow, Schema, Tx } from './schema.ts';

/** An effect that is due. */
export interface DueEffect {
  readonly order: string;
  readonly n: number;
  readonly tries: number;
  readonly effect: Effect;
  /** The `traceparent` of its order, where somebody traces it. */
  readonly trace: string | null;
}

/** The statements about what is due outside: wake-up messages and effects. */
export class OutboxStore {
  readonly #database: Database<Schema>;

  constructor(database: Database<Schema>) {
    this.#database = database;
  }

  /**
   * The effects that are due, at most `most`, the first of each order's lane alone. They are put off by `holdMs`
   * before they are returned, so that nobody else tries them meanwhile, and somebody does if this process dies.
   */
  async takeEffects(tx: Tx, most: number, holdMs: number): Promise<DueEffect[]> {
    const rows = await tx
      .selectFrom('outbox')
      .selectAll()
      .select((row) =>
        row
          .selectFrom('orders')
          .select('orders.trace')
          .whereRef('orders.id', '=', 'outbox.order_id')
          .as('trace'),
      )
      .where('due_at', '<=', this.#database.now)
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
    for (const row of rows) await this.#putOff(tx, row, holdMs);
    return rows.map((row) => ({
      order: row.order_id,
      n: row.n,
      tries: row.tries,
      effect: JSON.parse(row.effect) as Effect,
      trace: row.trace,
    }));
  }

  /** The effect has happened; its row goes. False where it was gone already. */
  async settle(tx: Tx, due: DueEffect): Promise<boolean> {
    const gone = await tx
      .deleteFrom('outbox')
      .where('order_id', '=', due.order)
      .where('n', '=', due.n)
      .executeTakeFirst();
    return gone.numDeletedRows > 0n;
  }

  /** The effect did not happen: it is due again after a pause. */
  async postpone(tx: Tx, due: DueEffect, pauseMs: number, error: string): Promise<void> {
    await tx
      .updateTable('outbox')
      .set({ tries: due.tries + 1, due_at: this.#in(pauseMs), last_error: error.slice(0, 500) })
      .where('order_id', '=', due.order)
      .where('n', '=', due.n)
      .execute();
  }

  /** Orders of which workers are to be told; they are due again, should nobody take them, after a growing pause. */
  async takeWakeUps(tx: Tx, most: number): Promise<Pick<OrderRow, 'id' | 'spec' | 'trace'>[]> {
    // 2, 4, … 32 seconds, then every minute.
    const pause = sql<number>`case when publishes < 5 then ${FIRST_PAUSE_MS} * (1 << publishes) else 60000 end`;
    return await tx
      // Materialized: in place of a subquery, which PostgreSQL may run more than once, locking more rows each time.
      .with(
        (table) => table('due').materialized(),
        (db) =>
          db
            .selectFrom('orders')
            .select('orders.id')
            .where('status', '=', 'todo')
            .where('publish_after', '<=', this.#database.now)
            .orderBy('publish_after')
            .limit(most)
            .forNoKeyUpdate()
            .skipLocked(),
      )
      .updateTable('orders')
      .set({
        publish_after: sql<number>`${this.#database.now} + ${pause}`,
        publishes: sql<number>`publishes + 1`,
      })
      .where('id', 'in', (row) => row.selectFrom('due').select('due.id'))
      .returning(['id', 'spec', 'trace'])
      .execute();
  }

  /** Rejects with `unavailable` while effects of a lane fail, with their number and the latest reason. */
  async check(lane: OutboxRow['lane']): Promise<void> {
    const row = await this.#database.read
      .selectFrom('outbox')
      .select((rows) => [rows.fn.countAll<number>().as('failing'), rows.fn.max('last_error').as('error')])
      .where('lane', '=', lane)
      .where('tries', '>', 0)
      .executeTakeFirstOrThrow();
    const failing = Number(row.failing);
    if (failing > 0) throw new PlatformError('unavailable', `${failing} messages wait for it: ${row.error}`);
  }

  async #putOff(tx: Tx, row: OutboxRow, holdMs: number): Promise<void> {
    await tx
      .updateTable('outbox')
      .set({ due_at: this.#in(holdMs) })
      .where('order_id', '=', row.order_id)
      .where('n', '=', row.n)
      .execute();
  }

  #in(ms: number) {
    return sql<number>`${this.#database.now} + ${ms}`;
  }
}
