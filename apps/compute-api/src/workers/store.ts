import {
  ARCHITECTURES,
  type GpuDevice,
  isPlatformError,
  namedBy,
  PlatformError,
  RUNNER_PROTOCOLS,
  type Settled,
  type WorkerView,
  warmTerm,
} from '@morpheo/common';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import { type ComputeDatabase, type Tx, timeOf } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { AttemptRow, OfferRow, OrderRow, Schema, WorkerRow } from '../db/schema.ts';
import { time } from '../orders/views.ts';
import type { Owning } from '../queue/gpu-reservation.ts';

/** What a worker says of itself: its row, the terms that it offers to orders, and whether its disk may be a copy. */
export type WorkerInfo = Omit<WorkerRow, 'seen_at'> & {
  readonly offers: readonly string[];
  /** Those of these that orders have to need before they go there. */
  readonly demands: readonly string[];
  readonly moved: boolean;
};

/**
 * Keeps what a worker says of itself; its new boot puts an end to the calls of earlier ones. An id belongs to the
 * caller who registered it, until the worker was not heard of for `leaseMs` and holds no attempt: throws `forbidden`
 * to others. One that has `moved` takes nothing over from a process that may live: throws `conflict` for as long.
 */
export async function registerWorker(
  tx: Tx,
  { offers, demands, moved, ...worker }: WorkerInfo,
  leaseMs: number,
): Promise<void> {
  if (moved) await demandSilence(tx, worker, leaseMs);
  const { db, now } = tx;
  const row = { ...worker, seen_at: now };
  const { id, ...rest } = row;
  const kept = await db
    .insertInto('workers')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet(rest)
        .where((is) =>
          is.or([
            isCalledBy(worker.caller),
            is.and([
              is('workers.seen_at', '<=', sql<number>`${now} - ${leaseMs}`),
              is.not(
                is.exists(
                  is
                    .selectFrom('orders')
                    .select('orders.id')
                    .where('orders.worker', '=', id)
                    .where('orders.status', '=', 'pending')
                    .where('orders.lease_until', '>', 0),
                ),
              ),
            ]),
          ]),
        ),
    )
    .returning('id')
    .executeTakeFirst();
  if (kept === undefined) throw isOfOthers(id);
  await db.deleteFrom('offers').where('worker', '=', id).execute();
  if (offers.length === 0) return;
  await db
    .insertInto('offers')
    .values(offers.map((term) => ({ worker: id, term, demanded: demands.includes(term) ? 1 : 0 })))
    .execute();
}

/** Throws `conflict`, with the time in `seen_at`, where another boot of a worker was heard of within a lease. */
async function demandSilence(
  { db, now }: Tx,
  { id, boot }: Pick<WorkerRow, 'id' | 'boot'>,
  leaseMs: number,
): Promise<void> {
  const other = await db
    .selectFrom('workers')
    .select('seen_at')
    .where('id', '=', id)
    .where('boot', '<>', boot)
    .where('seen_at', '>', sql<number>`${now} - ${leaseMs}`)
    .executeTakeFirst();
  if (other === undefined) return;
  const message = `A process with the id ${id} was heard of a moment ago, and the disk of this worker may be a copy of its disk. This worker may register when that one has been silent for ${leaseMs / 1000} s.`;
  throw new PlatformError('conflict', message, { details: { seen_at: Number(other.seen_at) } });
}

/** Of a row of workers: whether this caller may speak for it. Nobody is asked where callers have no names. */
function isCalledBy(caller: string | null): RawBuilder<boolean> {
  return caller === null ? sql`1 = 1` : sql`(workers.caller is null or workers.caller = ${caller})`;
}

/** What is thrown where a worker was registered by another caller. */
export function isOfOthers(worker: string): PlatformError {
  return new PlatformError(
    'forbidden',
    `Worker ${worker} is registered with the credentials of another caller. Use these, or start this worker with another id.`,
  );
}

/** Throws `forbidden` where the worker was registered by another caller than this. */
export async function checkCaller({ db }: Tx, worker: string | null, caller: string | null): Promise<void> {
  if (worker === null || caller === null) return;
  const its = await db
    .selectFrom('workers')
    .select('id')
    .where('id', '=', worker)
    .where(isCalledBy(caller))
    .executeTakeFirst();
  if (its === undefined) throw isOfOthers(worker);
}

/** A worker's process, and the name of the caller that speaks for it; null where nobody is asked for credentials. */
export interface WorkerProcess {
  readonly id: string;
  readonly boot: string;
  readonly caller: string | null;
}

/**
 * Notes that a worker lives, and returns it. Throws `not_found` for one that never registered, `stale_attempt` for
 * an earlier boot, `forbidden` for one of another caller.
 */
export async function noteSeen(tx: Tx, { id, boot, caller }: WorkerProcess): Promise<WorkerRow> {
  const { db, now } = tx;
  const seen = await db
    .updateTable('workers')
    // A worker that registered when nobody was asked for credentials belongs to who calls for it first.
    .set({ seen_at: now, caller: sql<string | null>`coalesce(workers.caller, ${caller})` })
    .where('id', '=', id)
    .where('boot', '=', boot)
    .where(isCalledBy(caller))
    .returningAll()
    .executeTakeFirst();
  if (seen !== undefined) return seen;
  const other = await db.selectFrom('workers').select('boot').where('id', '=', id).executeTakeFirst();
  if (other === undefined)
    throw new PlatformError('not_found', `Worker ${id} is not registered; register it first.`);
  await checkCaller(tx, id, caller);
  throw new PlatformError(
    'stale_attempt',
    `Worker ${id} was started again elsewhere; this process must stop.`,
  );
}

/** Processes of workers as a table of a query. */
const PROCESS: Columns<WorkerProcess> = { id: 'text', boot: 'text', caller: 'text' };

/** As {@link noteSeen}, for several processes at once; the error of one is its own. */
export async function noteAllSeen(tx: Tx, processes: readonly WorkerProcess[]): Promise<Settled<Owning>[]> {
  const { rows } = await sql<Owning & Pick<WorkerRow, 'boot' | 'caller'>>`
    update workers set seen_at = ${tx.now}, caller = coalesce(workers.caller, posted.caller)
    from ${rowsOf(tx, PROCESS, processes)}
    where workers.id = posted.id and workers.boot = posted.boot
      and (posted.caller is null or workers.caller is null or workers.caller = posted.caller)
    returning workers.id as id, workers.boot as boot, workers.caller as caller, gpu_total,
      learn_slots, predict_slots, job_slots`.execute(tx.db);
  const seen = new Map(rows.map((row) => [row.id, row]));
  const settled: Settled<Owning>[] = [];
  for (const process of processes) {
    const row = seen.get(process.id);
    const isIts = row?.boot === process.boot && (process.caller === null || row.caller === process.caller);
    try {
      settled.push({ status: 'fulfilled', value: isIts ? row : await noteSeen(tx, process) });
    } catch (reason) {
      if (!isPlatformError(reason)) throw reason;
      settled.push({ status: 'rejected', reason });
    }
  }
  return settled;
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
  const offers = await read
    .selectFrom('offers')
    .selectAll()
    .where('worker', 'in', workers.length === 0 ? [''] : workers.map(({ id }) => id))
    .execute();
  const running = await read
    .selectFrom('orders')
    .innerJoin('attempts', (join) =>
      join.onRef('attempts.order_id', '=', 'orders.id').onRef('attempts.attempt', '=', 'orders.attempt'),
    )
    .select(['orders.id', 'orders.kind', 'orders.attempt', 'orders.worker', 'orders.gpus'])
    .select('attempts.started_at')
    .where('orders.lease_until', '>', 0)
    .execute();
  return workers.map((worker) => {
    const its = running.filter((order) => order.worker === worker.id);
    const offered = offers.filter((offer) => offer.worker === worker.id);
    return viewOf(worker, worker.seen_at > now - leaseMs, its, offered);
  });
}

type Running = Pick<OrderRow, 'id' | 'kind' | 'attempt' | 'gpus'> & Pick<AttemptRow, 'started_at'>;

function viewOf(
  worker: WorkerRow,
  alive: boolean,
  running: readonly Running[],
  offers: readonly Pick<OfferRow, 'term' | 'demanded'>[],
): WorkerView {
  const terms = offers.map(({ term }) => term);
  const demands = offers.filter(({ demanded }) => Number(demanded) === 1).map(({ term }) => term);
  const dedicated = Object.keys(namedBy(demands)?.labels ?? {});
  const warm = RUNNER_PROTOCOLS.filter((protocol) => terms.includes(warmTerm(protocol)));
  const { arch, labels } = namedBy(terms.filter((term) => !warm.map(warmTerm).includes(term))) ?? {};
  const architecture = ARCHITECTURES.find((known) => known === arch);
  return {
    id: worker.id,
    name: worker.name,
    runtime: worker.runtime,
    ...(architecture === undefined ? {} : { arch: architecture }),
    ...(warm.length === 0 ? {} : { warm }),
    ...(labels === undefined ? {} : { labels }),
    ...(dedicated.length === 0 ? {} : { dedicated }),
    alive,
    last_seen_at: time(worker.seen_at),
    slots: { learn: worker.learn_slots, predict: worker.predict_slots, job: worker.job_slots },
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
