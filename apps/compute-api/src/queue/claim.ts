import { gather, type OrderKind, type Settled } from '@morpheo/common';
import { concerns, tellSpan } from '@morpheo/service/trace';
import type { ComputeSettings } from '../config.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { noteAllSeen, type WorkerProcess } from '../workers/store.ts';
import type { Conditions, Next } from './fair-share.ts';
import { fitsGpus, type Offer, type Owning, reserveGpus, takeReserved } from './gpu-reservation.ts';
import { isIsolated, loadOf, mayRunHere, reserveWorker, takeIsolated, UNHELD } from './isolation.ts';
import { Round } from './round.ts';

/** So many orders are handed out in one transaction at the most, and to one claim: other writes wait for that long. */
const MOST_ORDERS = 64;
const MOST_CLAIMS = 64;

/** A worker that asks for orders. */
export interface Claimant {
  readonly process: WorkerProcess;
  /** How many orders of each kind it has room for; none of one that is absent. */
  readonly room: Room;
  /** How many it takes in all. */
  readonly most: number;
  /** How many GPUs an order may ask for. */
  readonly gpus: number;
}

type Room = Readonly<Partial<Record<OrderKind, number>>>;

/** The orders that a claim gets, now `pending` with a new attempt and a lease. */
export interface Claimed {
  readonly orders: readonly OrderRow[];
  /** Whether asking again at once may bring more. */
  readonly more: boolean;
}

/**
 * Hands workers the due orders whose turn it is of those that they have room for; none where none is due, or all is paused.
 * Claims that come together are decided in one transaction, one after another. Throws as {@link noteSeen} does.
 */
export function gatherClaims(
  database: ComputeDatabase,
  settings: ComputeSettings,
): (claimant: Claimant) => Promise<Claimed> {
  const claim = gather<Claimant, Claimed>(
    async (claimants) => await claimOrders(database, settings, claimants),
    { most: MOST_CLAIMS },
  );
  return async (claimant) => {
    const startedAt = Date.now();
    const claimed = await claim(claimant);
    for (const { id: order, attempt, trace } of claimed.orders) {
      concerns(order, attempt);
      const attributes = { 'morpheo.worker': claimant.process.id };
      tellSpan('claim', { parent: trace ?? undefined, startedAt, order, attempt, attributes });
    }
    return claimed;
  };
}

/**
 * As many transactions as it takes: in each those are decided whom the one before has left. Where one fails, those who were
 * decided before keep what they got: else their orders would run nowhere until their leases end.
 */
async function claimOrders(
  database: ComputeDatabase,
  settings: ComputeSettings,
  claimants: readonly Claimant[],
): Promise<Settled<Claimed>[]> {
  const settled: Settled<Claimed>[] = [];
  while (settled.length < claimants.length) {
    const left = claimants.slice(settled.length);
    try {
      settled.push(...(await database.write(async (tx) => await decideAll(tx, settings, left))));
    } catch (reason) {
      settled.push(...left.map(() => ({ status: 'rejected', reason }) as const));
    }
  }
  return settled;
}

/** Decides the first of some claims, one at least: as many as may share a transaction. */
async function decideAll(
  tx: Tx,
  settings: ComputeSettings,
  claimants: readonly Claimant[],
): Promise<Settled<Claimed>[]> {
  const workers = await noteAllSeen(
    tx,
    claimants.map(({ process }) => process),
  );
  const claims = claimants.map(({ process: { id: worker }, room, gpus }) => ({
    worker,
    kinds: kindsOf(room),
    gpus,
  }));
  const wanted = claimants.reduce((sum, { most }) => sum + most, 0);
  const round = await Round.open(tx, settings, claims, Math.min(wanted, MOST_ORDERS));
  const answers: Settled<{ readonly from: number; readonly to: number; readonly more: boolean }>[] = [];
  for (const [n, claimant] of claimants.entries()) {
    const worker = workers[n];
    if (worker?.status !== 'fulfilled') {
      answers.push(worker ?? { status: 'rejected', reason: undefined });
      continue;
    }
    const from = round.handedOut;
    if (from >= MOST_ORDERS || round.isShort) break;
    const more = await fill(round, worker.value, claimant);
    // What others have locked is waited for in a transaction that holds nothing.
    if (round.isShort && round.handedOut === from) break;
    answers.push({ status: 'fulfilled', value: { from, to: round.handedOut, more: more || round.isShort } });
  }
  const orders = await round.close();
  return answers.map((answer) => {
    if (answer.status === 'rejected') return answer;
    const { from, to, more } = answer.value;
    return { status: 'fulfilled', value: { orders: orders.slice(from, to), more } };
  });
}

/** Decides order after order, until the claim has what it takes or nothing fits any more. */
async function fill(round: Round, worker: Owning, { process, room, most, gpus }: Claimant): Promise<boolean> {
  const left = new Map(Object.entries(room) as [OrderKind, number][]);
  for (let taken = 0; taken < most; taken++) {
    if (taken > 0 && round.handedOut >= MOST_ORDERS) return true;
    const kinds = [...left].flatMap(([kind, places]) => (places > 0 ? [kind] : []));
    const order = await decide(round, worker, process, { kinds, gpus });
    if (order === undefined) return false;
    left.set(order.kind, (left.get(order.kind) ?? 0) - 1);
    // Only the worker knows how many GPUs are free now.
    if (order.gpus > 0) return taken + 1 < most;
  }
  return false;
}

function kindsOf(room: Room): OrderKind[] {
  return (Object.entries(room) as [OrderKind, number][]).flatMap(([kind, places]) =>
    places > 0 ? [kind] : [],
  );
}

async function decide(
  round: Round,
  worker: Owning,
  process: WorkerProcess,
  offer: Offer,
): Promise<OrderRow | undefined> {
  const { tx, settings, overview } = round;
  // Admission: may it take anything at all?
  if (overview.isPaused || offer.kinds.length === 0) return undefined;
  const concernsGpus = overview.asksGpus && (offer.gpus > 0 || worker.gpu_total > 0);
  // What is decided by queries sees what was handed out before.
  if (overview.isolates || concernsGpus) await round.write();
  const load = overview.isolates
    ? await loadOf(tx, worker.id, settings.leaseMs)
    : { ...UNHELD, worker: worker.id };
  if (load.runsIsolated) return undefined;
  if (load.reservedFor !== undefined && load.runs > 0) return undefined;
  // Reservation: orders that are younger than the one which GPUs are reserved for get none.
  const reservation = concernsGpus ? await reserveGpus(tx, worker, offer, settings) : undefined;
  const conditions: Conditions | undefined =
    overview.isolates || concernsGpus
      ? { fitsGpus: fitsGpus(offer, reservation), mayRun: mayRunHere(tx, load, settings.leaseMs) }
      : undefined;
  // Next: what the worker waits for goes first, since it has cost others their turn already; then owner after owner.
  const waited =
    (await takeIsolated(tx, load, offer)) ??
    (concernsGpus ? await takeReserved(tx, worker.id, offer) : undefined);
  const next: Next | undefined =
    waited === undefined
      ? await round.next({ ...offer, worker: worker.id }, conditions)
      : { order: waited, isCrowded: true };
  if (next === undefined) return undefined;
  // Isolation: an order that has to be run alone waits until the worker runs nothing.
  if (isIsolated(next.order) && load.runs > 0) {
    await reserveWorker(tx, next.order, worker.id);
    return undefined;
  }
  await round.hand(next, process);
  return next.order;
}
