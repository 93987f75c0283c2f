import { concerns, tellSpan } from '@morpheo/service/trace';
import { openAttempt } from '../attempts/fence.ts';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { changeOrder, specOf } from '../orders/store.ts';
import type { Effect } from '../outbox/effects.ts';
import { noteSeen, type WorkerProcess } from '../workers/store.ts';
import { chargeOwner, takeNextShare } from './fair-share.ts';
import { fitsGpus, NOT_RESERVED, type Offer, reserveGpus, takeReserved } from './gpu-reservation.ts';
import { isIsolated, loadOf, mayRunHere, NOT_WAITED_FOR, reserveWorker, takeIsolated } from './isolation.ts';
import { leaseUntil } from './lease.ts';

/**
 * Hands a worker the due order whose turn it is of those that it has room for, now `pending` with a new attempt and a
 * lease; null where none is due, or all is paused. Throws as {@link noteSeen} does.
 */
export async function claimOrder(
  database: ComputeDatabase,
  settings: ComputeSettings,
  claimant: WorkerProcess,
  offer: Offer,
): Promise<OrderRow | null> {
  const startedAt = Date.now();
  const claimed = await database.write(async (tx) => await decide(tx, settings, claimant, offer));
  if (claimed === null) return null;
  const { id: order, attempt } = claimed;
  const parent = claimed.trace ?? undefined;
  concerns(order, attempt);
  const attributes = { 'morpheo.worker': claimant.id };
  tellSpan('claim', { parent, startedAt, order, attempt, attributes });
  return claimed;
}

async function decide(
  tx: Tx,
  settings: ComputeSettings,
  claimant: WorkerProcess,
  offer: Offer,
): Promise<OrderRow | null> {
  const { leaseMs } = settings;
  // Admission: may it take anything at all?
  const worker = await noteSeen(tx, claimant);
  const load = await loadOf(tx, worker.id, leaseMs);
  if (load.isPaused || load.runsIsolated) return null;
  if (load.reservedFor !== undefined && load.runs > 0) return null;
  // Reservation: orders that are younger than the one which GPUs are reserved for get none.
  const reservation = await reserveGpus(tx, worker, offer, settings);
  // Next: what the worker waits for goes first, since it has cost others their turn already; then owner after owner.
  const waited = (await takeIsolated(tx, load, offer)) ?? (await takeReserved(tx, worker.id, offer));
  const next =
    waited === undefined
      ? await takeNextShare(tx, {
          ...offer,
          worker: worker.id,
          fitsGpus: fitsGpus(offer, reservation),
          mayRun: mayRunHere(tx, load, leaseMs),
        })
      : { order: waited, isCrowded: true };
  if (next === undefined) return null;
  // Isolation: an order that has to be run alone waits until the worker runs nothing.
  if (isIsolated(next.order) && load.runs > 0) {
    await reserveWorker(tx, next.order, worker.id);
    return null;
  }
  const started = await startAttempt(tx, next.order, claimant, leaseMs);
  // Last, so that the owner's other claims wait as short as can be.
  await chargeOwner(tx, started, next.isCrowded);
  return started;
}

/** Begins the next attempt of a due order that this transaction has locked. Returns the order as it is now. */
export async function startAttempt(
  tx: Tx,
  due: OrderRow,
  { id: worker, boot }: Pick<WorkerProcess, 'id' | 'boot'>,
  leaseMs: number,
): Promise<OrderRow> {
  const attempt = due.attempt + 1;
  const claimed = await changeOrder(tx, due, {
    event: 'claimed',
    details: { worker },
    set: {
      status: 'pending',
      attempt,
      worker,
      boot,
      lease_until: leaseUntil(tx, leaseMs),
      publish_after: null,
      ...NOT_RESERVED,
      ...NOT_WAITED_FOR,
      ...(due.started_at === null ? { started_at: tx.now } : {}),
    },
    effects: attempt === 1 ? takenBy(due, worker) : [],
  });
  await openAttempt(tx, claimed, worker, boot);
  return claimed;
}

/** Tells the orchestrator, if it knows such orders; by its own name for the worker, where the originals put one into it. */
function takenBy(order: OrderRow, worker: string): Effect[] {
  const { kind, uplet } = specOf(order);
  if (kind === 'job') return [];
  const isNamed = !/^[0-]*$/.test(uplet.worker);
  return [{ do: 'tell_taken', kind, worker: isNamed ? uplet.worker : worker }];
}
