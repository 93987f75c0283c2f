import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow, WorkerRow } from '../db/schema.ts';
import { changeOrder } from '../orders/store.ts';
import { type Grant, grantOf, leaseUntil } from '../queue/lease.ts';
import { registerWorker, type WorkerInfo } from '../workers/store.ts';
import type { AttemptRef } from './fence.ts';
import { loseAttempts } from './report.ts';

/**
 * So often a worker may resume the same attempt after a start. One that kills its worker each time would never end
 * otherwise; beyond, the attempt is lost like any other.
 */
export const MOST_RESUMPTIONS = 10;

/**
 * Keeps what a worker says of itself. Of the attempts of its earlier boots those of `resume` stay with it, unless they
 * were taken back or cancelled or were resumed too often, with their leases renewed; all others are taken back at once.
 * Returns what stayed; the same again where the same boot registers again. Throws as {@link registerWorker} does.
 */
export async function register(
  database: ComputeDatabase,
  settings: ComputeSettings,
  worker: WorkerInfo,
  resume: readonly AttemptRef[],
): Promise<Grant[]> {
  return await database.write(async (tx) => {
    await registerWorker(tx, worker, settings.leaseMs);
    const resumed = await resumeAttempts(tx, settings.leaseMs, worker, resume);
    const lost = await takeOfEarlierBoots(tx, worker);
    await loseAttempts(tx, settings, lost, 'its process was started again');
    return resumed;
  });
}

/** One by one and not passing over what is locked for a moment: what is left out here would start again. */
async function resumeAttempts(
  tx: Tx,
  leaseMs: number,
  worker: Pick<WorkerRow, 'id' | 'boot'>,
  named: readonly AttemptRef[],
): Promise<Grant[]> {
  const resumed: Grant[] = [];
  for (const ref of named.toSorted((a, b) => (a.order < b.order ? -1 : 1))) {
    const order = await takeRunBy(tx, worker.id, ref);
    if (order === undefined) continue;
    if (order.boot === worker.boot) resumed.push(await claimToResume(tx, order, leaseMs));
    else if ((await timesResumed(tx, ref)) < MOST_RESUMPTIONS) {
      resumed.push(await claimToResume(tx, await resumeIn(tx, order, worker.boot, leaseMs), leaseMs));
    }
  }
  return resumed;
}

async function resumeIn(tx: Tx, order: OrderRow, boot: string, leaseMs: number): Promise<OrderRow> {
  await tx.db
    .updateTable('attempts')
    .set({ boot })
    .where('order_id', '=', order.id)
    .where('attempt', '=', order.attempt)
    .execute();
  return await changeOrder(tx, order, {
    event: 'resumed',
    details: { worker: order.worker },
    set: { boot, lease_until: leaseUntil(tx, leaseMs) },
  });
}

async function claimToResume({ db }: Tx, order: OrderRow, leaseMs: number): Promise<Grant> {
  const { last, noted } = await db
    .selectFrom('attempts')
    .select((row) => [
      'noted',
      // Of a worker that told of its log apart.
      row
        .selectFrom('logs')
        .select((log) => log.fn.max<number | null>('seq').as('last'))
        .whereRef('logs.order_id', '=', 'attempts.order_id')
        .whereRef('logs.attempt', '=', 'attempts.attempt')
        .as('last'),
    ])
    .where('order_id', '=', order.id)
    .where('attempt', '=', order.attempt)
    .executeTakeFirstOrThrow();
  const { claim, pin } = grantOf(order, leaseMs);
  return { claim: { ...claim, log_seq: Math.max(noted, last === null ? 0 : Number(last) + 1) }, pin };
}

/** The order that a worker runs as this attempt, in whichever process of it, locked for this transaction. */
async function takeRunBy({ db }: Tx, worker: string, ref: AttemptRef): Promise<OrderRow | undefined> {
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('id', '=', ref.order)
    .where('attempt', '=', ref.attempt)
    .where('worker', '=', worker)
    .where('lease_until', 'is not', null)
    .forUpdate()
    .executeTakeFirst();
}

/** What earlier boots of a worker run, at most 100, locked: waited for where it is locked, since nobody looks again. */
async function takeOfEarlierBoots(
  { db }: Tx,
  { id, boot }: Pick<WorkerRow, 'id' | 'boot'>,
): Promise<OrderRow[]> {
  return await db
    .selectFrom('orders')
    .selectAll()
    .where('status', '=', 'pending')
    .where('lease_until', '>', 0)
    .where('worker', '=', id)
    .where('boot', '<>', boot)
    .forUpdate()
    .orderBy('lease_until')
    .limit(100)
    .execute();
}

async function timesResumed({ db }: Tx, { order, attempt }: AttemptRef): Promise<number> {
  const { times } = await db
    .selectFrom('events')
    .select((row) => row.fn.countAll<number>().as('times'))
    .where('order_id', '=', order)
    .where('attempt', '=', attempt)
    .where('what', '=', 'resumed')
    .executeTakeFirstOrThrow();
  return Number(times);
}
