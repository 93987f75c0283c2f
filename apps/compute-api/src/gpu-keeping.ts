import type { Database } from '@morpheo/service/database';
import { sql } from 'kysely';
import type { OrderRow, Schema, Tx, WorkerRow } from './schema.ts';

/** What {@link keepGpus} works with; times in milliseconds. */
export interface GpuKeeping {
  readonly database: Database<Schema>;
  /** A worker that was not heard of for so long keeps nothing any more. */
  readonly leaseMs: number;
  /** How long an order waits for GPUs before a worker keeps them for it. */
  readonly patienceMs: number;
}

/**
 * Sees to it that orders which ask for many GPUs do not wait for ever behind those that ask for few: the oldest order
 * that has waited long enough, that this worker could run with all its GPUs but not with the `free` ones, and that no
 * other living worker keeps GPUs for, is returned, and from now on this worker keeps those that come free for it.
 * Undefined where there is none. Whichever worker has room first takes the order all the same.
 */
export async function keepGpus(
  tx: Tx,
  worker: WorkerRow,
  free: number,
  { database, leaseMs, patienceMs }: GpuKeeping,
): Promise<Pick<OrderRow, 'created_at' | 'id'> | undefined> {
  if (free >= worker.gpu_total) return undefined;
  const kinds = (['learn', 'predict'] as const).filter((kind) => worker[`${kind}_slots`] > 0);
  if (kinds.length === 0) return undefined;
  // Not held: whoever claims the order in between may have it.
  const oldest = await tx
    .selectFrom('orders')
    .select(['id', 'created_at', 'gpus_kept_by'])
    .where('status', '=', 'todo')
    // Written out, so that the index of these alone is used.
    .where(sql<boolean>`asks_gpus = 1`)
    .where('gpus', '>', free)
    .where('gpus', '<=', worker.gpu_total)
    .where('kind', 'in', kinds)
    .where('due_at', '<=', sql<number>`${database.now} - ${patienceMs}`)
    .where((row) =>
      row.or([
        row('gpus_kept_by', 'is', null),
        row('gpus_kept_by', '=', worker.id),
        row.not(
          row.exists(
            row
              .selectFrom('workers')
              .select('workers.id')
              .whereRef('workers.id', '=', 'orders.gpus_kept_by')
              .whereRef('workers.gpu_total', '>=', 'orders.gpus')
              .where('workers.seen_at', '>', sql<number>`${database.now} - ${leaseMs}`),
          ),
        ),
      ]),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  if (oldest !== undefined && oldest.gpus_kept_by !== worker.id) {
    await tx
      .updateTable('orders')
      .set({ gpus_kept_by: worker.id })
      .where('id', '=', oldest.id)
      .where('status', '=', 'todo')
      .execute();
  }
  return oldest;
}
