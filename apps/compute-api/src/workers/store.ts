import { type GpuDevice, type OrderKind, PlatformError, type WorkerView } from '@morpheo/common';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import { type ComputeDatabase, type Tx, timeOf } from '../db/database.ts';
import type { AttemptRow, OrderRow, Schema, WorkerRow } from '../db/schema.ts';
import { time } from '../orders/views.ts';

/** Keeps what a worker says of itself; its new boot puts an end to the calls of earlier ones. */
export async function registerWorker({ db, now }: Tx, worker: Omit<WorkerRow, 'seen_at'>): Promise<void> {
  const row = { ...worker, seen_at: now };
  const { id: _id, ...rest } = row;
  await db
    .insertInto('workers')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(rest))
    .execute();
}

/**
 * Notes that a worker lives, and returns it. Throws `not_found` for one that never registered, `stale_attempt` for
 * an earlier boot.
 */
export async function noteSeen({ db, now }: Tx, id: string, boot: string): Promise<WorkerRow> {
  const seen = await db
    .updateTable('workers')
    .set({ seen_at: now })
    .where('id', '=', id)
    .where('boot', '=', boot)
    .returningAll()
    .executeTakeFirst();
  if (seen !== undefined) return seen;
  const other = await db.selectFrom('workers').select('boot').where('id', '=', id).executeTakeFirst();
  if (other === undefined)
    throw new PlatformError('not_found', `Worker ${id} is not registered; register it first.`);
  throw new PlatformError(
    'stale_attempt',
    `Worker ${id} was started again elsewhere; this process must stop.`,
  );
}

/** 1 while the operator lets nothing be claimed, else 0; an expression, so that it stands in larger queries too. */
export const PAUSED: RawBuilder<number> = sql<number>`(select count(*) from switches where name = 'paused' and value = 1)`;

/** True while the operator lets nothing be claimed. */
export async function isPaused(db: Kysely<Schema>): Promise<boolean> {
  const { paused } = await db.selectNoFrom(PAUSED.as('paused')).executeTakeFirstOrThrow();
  return Number(paused) > 0;
}

/** Sets the switch that {@link isPaused} reads. */
export async function setPaused({ db }: Tx, paused: boolean): Promise<void> {
  const value = paused ? 1 : 0;
  await db
    .insertInto('switches')
    .values({ name: 'paused', value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute();
}

/** What living workers have; `leaseMs`: one that was not heard of for so long counts as gone. */
function living({ read, now }: ComputeDatabase, leaseMs: number) {
  return read.selectFrom('workers').where('seen_at', '>', sql<number>`${now} - ${leaseMs}`);
}

/** How many orders of a kind the living workers run at once. */
export async function slotsFor(database: ComputeDatabase, leaseMs: number, kind: OrderKind): Promise<number> {
  const { slots } = await living(database, leaseMs)
    .select((row) => row.fn.sum<number | null>(`${kind}_slots`).as('slots'))
    .executeTakeFirstOrThrow();
  return Number(slots ?? 0);
}

/** The GPUs of a worker. */
export interface WorkerGpus {
  readonly worker: string;
  readonly total: number;
  /** How many have room for one more order. */
  readonly free: number;
}

/** The GPUs of the living workers that take a kind: how many each has, and how many it could lease now. */
export async function gpusFor(
  database: ComputeDatabase,
  leaseMs: number,
  kind: OrderKind,
): Promise<WorkerGpus[]> {
  const workers = await living(database, leaseMs)
    .select(['id', 'gpu_total', 'gpu_slots'])
    .select((row) =>
      row
        .selectFrom('orders')
        .select((order) => order.fn.sum<number | null>('orders.gpus').as('leased'))
        .whereRef('orders.worker', '=', 'workers.id')
        .where('orders.lease_until', 'is not', null)
        .as('leased'),
    )
    .where(`${kind}_slots`, '>', 0)
    .execute();
  return workers.map(({ id, gpu_total: total, gpu_slots, leased }) => ({
    worker: id,
    total,
    free: Math.max(0, Math.min(total, total * gpu_slots - Number(leased ?? 0))),
  }));
}

/** Every worker that ever registered, the one heard of last first, with what it runs. */
export async function listWorkers(database: ComputeDatabase, leaseMs: number): Promise<WorkerView[]> {
  const { read } = database;
  const now = await timeOf(database);
  const workers = await read
    .selectFrom('workers')
    .selectAll()
    .orderBy('seen_at', 'desc')
    .limit(1000)
    .execute();
  const running = await read
    .selectFrom('orders')
    .innerJoin('attempts', (join) =>
      join.onRef('attempts.order_id', '=', 'orders.id').onRef('attempts.attempt', '=', 'orders.attempt'),
    )
    .select(['orders.id', 'orders.kind', 'orders.attempt', 'orders.worker', 'orders.gpus'])
    .select('attempts.started_at')
    .where('orders.lease_until', 'is not', null)
    .execute();
  return workers.map((worker) => {
    const its = running.filter((order) => order.worker === worker.id);
    return viewOf(worker, worker.seen_at > now - leaseMs, its);
  });
}

type Running = Pick<OrderRow, 'id' | 'kind' | 'attempt' | 'gpus'> & Pick<AttemptRow, 'started_at'>;

function viewOf(worker: WorkerRow, alive: boolean, running: readonly Running[]): WorkerView {
  return {
    id: worker.id,
    name: worker.name,
    runtime: worker.runtime,
    alive,
    last_seen_at: time(worker.seen_at),
    slots: { learn: worker.learn_slots, predict: worker.predict_slots },
    gpus: {
      devices: JSON.parse(worker.gpus) as GpuDevice[],
      slots: worker.gpu_slots,
      leased: running.reduce((sum, order) => sum + order.gpus, 0),
    },
    running: running.map(({ id: order, attempt, kind, gpus, started_at }) => ({
      order,
      attempt,
      kind,
      gpus,
      since: time(started_at),
    })),
  };
}
