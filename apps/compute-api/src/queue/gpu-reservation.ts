import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { ComputeSettings } from '../config.ts';
import type { Tx } from '../db/database.ts';
import type { OrderRow, WorkerRow } from '../db/schema.ts';
import { offersAll, offersToOrder } from './matching.ts';

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

/** What a worker has in all. */
export type Owning = Pick<WorkerRow, 'id' | 'gpu_total' | `${OrderKind}_slots`>;

/** The order that GPUs of a worker are reserved for. */
export type Reservation = Pick<OrderRow, 'created_at' | 'id'>;

/** What a claim sets: nothing is reserved for the order any more. */
export const NOT_RESERVED = { gpus_kept_by: null } as const;

/** 1 where any due order asks for GPUs, else 0; an expression. */
export const ASKS_GPUS: RawBuilder<number> = sql<number>`(select count(*) from (select 1 from orders where status = 'todo' and asks_gpus = 1 limit 1) as asking)`;

/** The worker that reserves the GPUs which come free for an order; null where there is none. */
export function reservedBy(order: Pick<OrderRow, 'gpus_kept_by'>): string | null {
  return order.gpus_kept_by;
}

/**
 * The oldest order that has waited long enough, that this worker could run with all its GPUs but not with those that
 * it offers now, and that no other living worker reserves GPUs for: from now on this worker reserves those that come free
 * for it. Undefined where there is none. Whichever worker has room first takes the order all the same.
 */
export async function reserveGpus(
  tx: Tx,
  worker: Owning,
  { gpus: free }: Offer,
  settings: ComputeSettings,
): Promise<Reservation | undefined> {
  if (free >= worker.gpu_total) return undefined;
  const kinds = ORDER_KINDS.filter((kind) => worker[`${kind}_slots`] > 0);
  if (kinds.length === 0) return undefined;
  const oldest = await oldestToReserveFor(tx, { worker, free, kinds }, settings);
  if (oldest !== undefined && oldest.gpus_kept_by !== worker.id) {
    await tx.db
      .updateTable('orders')
      .set({ gpus_kept_by: worker.id })
      .where('id', '=', oldest.id)
      .where('status', '=', 'todo')
      .execute();
  }
  return oldest;
}

/** Not locked: whoever claims the order in between may have it. */
async function oldestToReserveFor(
  { db, now }: Tx,
  {
    worker,
    free,
    kinds,
  }: { readonly worker: Owning; readonly free: number; readonly kinds: readonly OrderKind[] },
  { leaseMs, gpuPatienceMs }: ComputeSettings,
): Promise<Pick<OrderRow, 'id' | 'created_at' | 'gpus_kept_by'> | undefined> {
  // Written out, so that the index of these alone is used.
  const asking = sql`status = 'todo' and asks_gpus = 1`;
  const keeper = sql`select 1 from workers where workers.id = orders.gpus_kept_by and workers.gpu_total >= orders.gpus
    and workers.seen_at > ${now} - ${sql.lit(leaseMs)} and ${offersAll(sql`workers.id`, sql`orders.needs`)}`;
  // One look into the index for each of the needs, however many orders have them.
  const { rows } = await sql<Pick<OrderRow, 'id' | 'created_at' | 'gpus_kept_by'>>`
    with recursive asked (needs) as (
      select min(needs) from orders where ${asking}
      union all
      select (select min(needs) from orders where ${asking} and orders.needs > asked.needs)
      from asked where asked.needs is not null
    ), oldest (id) as materialized (
      select (
        select id from orders
        where ${asking} and orders.needs = asked.needs and gpus > ${free} and gpus <= ${worker.gpu_total}
          and kind in (${sql.join(kinds)}) and due_at <= ${now} - ${sql.lit(gpuPatienceMs)}
          and (gpus_kept_by is null or gpus_kept_by = ${worker.id} or not exists (${keeper}))
        order by created_at, id limit 1)
      from asked where asked.needs is not null and ${offersAll(sql`${worker.id}`, sql`asked.needs`)}
    )
    select id, created_at, gpus_kept_by from orders where id in (select id from oldest)
    order by created_at, id limit 1`.execute(db);
  return rows[0];
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
    .where(offersToOrder(worker))
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
