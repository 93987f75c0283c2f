import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { ComputeSettings } from '../config.ts';
import type { Tx } from '../db/database.ts';
import type { OrderRow, WorkerRow } from '../db/schema.ts';

/**
 * Orders that ask for many GPUs shall not wait for ever behind those that ask for few: a worker reserves what comes
 * free for the oldest that has waited long enough. The column `gpus_kept_by` says which, and is named in this file only.
 */

/** What a worker has room for. */
export interface Offer {
  readonly kinds: readonly OrderKind[];
  /** How many GPUs an order may ask for. */
  readonly gpus: number;
}

/** The order that GPUs of a worker are reserved for. */
export type Reservation = Pick<OrderRow, 'created_at' | 'id'>;

/** What a claim sets: nothing is reserved for the order any more. */
export const NOT_RESERVED = { gpus_kept_by: null } as const;

/** The worker that reserves the GPUs which come free for an order; null where there is none. */
export function reservedBy(order: Pick<OrderRow, 'gpus_kept_by'>): string | null {
  return order.gpus_kept_by;
}

/**
 * The oldest order that has waited long enough, that this worker could run with all its GPUs but not with those that
 * it offers, and that no other living worker reserves GPUs for: from now on this worker reserves those that come free
 * for it. Undefined where there is none. Whichever worker has room first takes the order all the same.
 */
export async function reserveGpus(
  { db, now }: Tx,
  worker: WorkerRow,
  { gpus: free }: Offer,
  { leaseMs, gpuPatienceMs }: ComputeSettings,
): Promise<Reservation | undefined> {
  if (free >= worker.gpu_total) return undefined;
  const kinds = ORDER_KINDS.filter((kind) => worker[`${kind}_slots`] > 0);
  if (kinds.length === 0) return undefined;
  // Not locked: whoever claims the order in between may have it.
  const oldest = await db
    .selectFrom('orders')
    .select(['id', 'created_at', 'gpus_kept_by'])
    .where('status', '=', 'todo')
    // Written out, so that the index of these alone is used.
    .where(sql<boolean>`asks_gpus = 1`)
    .where('gpus', '>', free)
    .where('gpus', '<=', worker.gpu_total)
    .where('kind', 'in', kinds)
    .where('due_at', '<=', sql<number>`${now} - ${gpuPatienceMs}`)
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
              .where('workers.seen_at', '>', sql<number>`${now} - ${leaseMs}`),
          ),
        ),
      ]),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  if (oldest !== undefined && oldest.gpus_kept_by !== worker.id) {
    await db
      .updateTable('orders')
      .set({ gpus_kept_by: worker.id })
      .where('id', '=', oldest.id)
      .where('status', '=', 'todo')
      .execute();
  }
  return oldest;
}

/** The order for which this worker has reserved GPUs, where they are enough now; locked. */
export async function takeReserved(
  { db, now }: Tx,
  worker: string,
  { kinds, gpus }: Offer,
): Promise<OrderRow | undefined> {
  if (gpus === 0) return undefined;
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('gpus_kept_by', '=', worker)
    .where('status', '=', 'todo')
    .where('kind', 'in', kinds)
    .where('due_at', '<=', now)
    .where('gpus', '<=', gpus)
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .forNoKeyUpdate()
    .skipLocked()
    .executeTakeFirst();
}

/** Of the orders that ask for GPUs, those that fit an offer: none that is younger than one that GPUs are reserved for. */
export function fitsGpus({ gpus }: Offer, reservation: Reservation | undefined): RawBuilder<boolean> {
  if (reservation === undefined) return sql<boolean>`gpus <= ${gpus}`;
  return sql<boolean>`gpus <= ${gpus} and (created_at, id) < (${reservation.created_at}, ${reservation.id})`;
}
