import { PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Schema, Tx, WorkerRow } from './schema.ts';

/** The statements about workers and the operator's switches. */
export class WorkerStore {
  readonly #database: Database<Schema>;

  constructor(database: Database<Schema>) {
    this.#database = database;
  }

  /** Keeps what a worker says of itself; its new boot puts an end to the calls of earlier ones. */
  async register(tx: Tx, worker: Omit<WorkerRow, 'seen_at'>): Promise<void> {
    const row = { ...worker, seen_at: this.#database.now };
    const { id: _id, ...rest } = row;
    await tx
      .insertInto('workers')
      .values(row)
      .onConflict((conflict) => conflict.column('id').doUpdateSet(rest))
      .execute();
  }

  /**
   * Notes that a worker lives, and returns it. Throws `not_found` for one that never registered, `stale_attempt` for
   * an earlier boot.
   */
  async seen(tx: Tx, id: string, boot: string): Promise<WorkerRow> {
    const seen = await tx
      .updateTable('workers')
      .set({ seen_at: this.#database.now })
      .where('id', '=', id)
      .where('boot', '=', boot)
      .returningAll()
      .executeTakeFirst();
    if (seen !== undefined) return seen;
    const known = await tx.selectFrom('workers').select('boot').where('id', '=', id).executeTakeFirst();
    if (known === undefined)
      throw new PlatformError('not_found', `Worker ${id} is not registered; register it first.`);
    throw new PlatformError(
      'stale_attempt',
      `Worker ${id} was started again elsewhere; this process must stop.`,
    );
  }

  /** True while the operator lets nothing be claimed. */
  async paused(tx: Tx): Promise<boolean> {
    const row = await tx
      .selectFrom('switches')
      .select('value')
      .where('name', '=', 'paused')
      .executeTakeFirst();
    return row?.value === 1;
  }

  /** Sets the switch that {@link paused} reads. */
  async pause(tx: Tx, paused: boolean): Promise<void> {
    const value = paused ? 1 : 0;
    await tx
      .insertInto('switches')
      .values({ name: 'paused', value })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
      .execute();
  }
}
