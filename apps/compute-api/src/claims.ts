import { type Claim, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { concerns, tellSpan } from '@morpheo/service/trace';
import { type RawBuilder, sql } from 'kysely';
import type { Effect } from './effects.ts';
import { charge, type Room, takeNext } from './fair-share.ts';
import { keepGpus } from './gpu-keeping.ts';
import { type OrderStore, specOf } from './order-store.ts';
import { shownOwner } from './owners.ts';
import { keepWorker, solitudeOf } from './quarantine.ts';
import type { OrderRow, Schema, Tx } from './schema.ts';
import type { WorkerStore } from './worker-store.ts';

/** An attempt as its worker names it. */
export interface Held {
  readonly order: string;
  readonly attempt: number;
}

/** What came of a renewal. */
export interface Renewal {
  readonly held: Held[];
  readonly lost: (Held & { reason: 'cancelled' | 'stale' })[];
}

/** Hands orders to workers, for as long as they keep saying that they live. */
export interface Claims {
  /**
   * The due order whose turn it is of those that the worker has room for, now `pending` with a new attempt; null where
   * none is due, or all is paused.
   */
  claim(worker: string, boot: string, room: Room): Promise<Claim | null>;
  /** Renews what the worker still holds of `attempts`, and tells what it has lost. */
  renew(worker: string, boot: string, attempts: readonly Held[]): Promise<Renewal>;
}

/** Makes the {@link Claims}; `tell`: whether there is an orchestrator to tell. */
export function createClaims(options: {
  database: Database<Schema>;
  store: OrderStore;
  workers: WorkerStore;
  leaseMs: number;
  /** How long an order waits for GPUs before a worker keeps them for it. */
  gpuPatienceMs: number;
  tell: boolean;
  changed: (order: string) => void;
}): Claims {
  const { database, store, workers, leaseMs, gpuPatienceMs, tell } = options;

  async function start(tx: Tx, due: OrderRow, worker: string, boot: string): Promise<OrderRow> {
    const attempt = due.attempt + 1;
    const claimed = await store.change(
      tx,
      due,
      {
        status: 'pending',
        attempt,
        worker,
        boot,
        lease_until: leaseFrom(database, leaseMs),
        publish_after: null,
        gpus_kept_by: null,
        alone_on: null,
        ...(due.started_at === null ? { started_at: database.now } : {}),
      },
      { what: 'claimed', details: { worker } },
      tell && attempt === 1 ? [takenBy(due, worker)] : [],
    );
    await tx
      .insertInto('attempts')
      .values({ order_id: due.id, attempt, worker, boot, started_at: database.now, ...RUNNING })
      .execute();
    return claimed;
  }

  return {
    async claim(worker, boot, room) {
      const startedAt = Date.now();
      const claimed = await database.write(async (tx) => {
        const asks = await workers.seen(tx, worker, boot);
        if (await workers.paused(tx)) return null;
        const solitude = await solitudeOf(tx, database, worker, leaseMs);
        if (solitude.isTaken || (solitude.keptFor !== undefined && solitude.runs > 0)) return null;
        const keptFor = await keepGpus(tx, asks, room.gpus, { database, leaseMs, patienceMs: gpuPatienceMs });
        const next = await takeNext(tx, database, worker, { ...room, keptFor, leaseMs, solitude });
        if (next === undefined) return null;
        if (next.order.alone === 1 && solitude.runs > 0) {
          await keepWorker(tx, next.order, worker);
          return null;
        }
        const started = await start(tx, next.order, worker, boot);
        // Last, so that the owner's other claims wait as short as can be.
        if (next.charged) await charge(tx, started);
        return started;
      });
      if (claimed === null) return null;
      options.changed(claimed.id);
      const { id: order, attempt } = claimed;
      const parent = claimed.trace ?? undefined;
      concerns(order, attempt);
      tellSpan('claim', { parent, startedAt, order, attempt, attributes: { 'morpheo.worker': worker } });
      return claimOf(claimed, leaseMs);
    },

    async renew(worker, boot, attempts) {
      return await database.write(async (tx) => {
        await workers.seen(tx, worker, boot);
        const renewal: Renewal = { held: [], lost: [] };
        for (const mine of attempts) {
          const row = await renewOne(tx, mine, boot, leaseFrom(database, leaseMs));
          if (row) renewal.held.push(mine);
          else renewal.lost.push({ ...mine, reason: await reasonOf(tx, mine) });
        }
        return renewal;
      });
    },
  };
}

/** A claimed order as its worker is told of it. */
export function claimOf(row: OrderRow, leaseMs: number): Claim {
  const { id: order, attempt, gpus, trace } = row;
  const traced = trace === null ? {} : { traceparent: trace };
  return {
    ...{ order, attempt, spec: specOf(row), owner: shownOwner(row.owner), gpus, lease_ms: leaseMs },
    ...traced,
  };
}

const RUNNING = { ended_at: null, outcome: null, failure: null, report: null, log_bytes: 0 } as const;

/** When a lease that is given now runs out. */
export function leaseFrom(database: Database<Schema>, leaseMs: number): RawBuilder<number> {
  return sql<number>`${database.now} + ${leaseMs}`;
}

async function renewOne(tx: Tx, mine: Held, boot: string, until: RawBuilder<number>): Promise<boolean> {
  const renewed = await tx
    .updateTable('orders')
    .set({ lease_until: until })
    .where('id', '=', mine.order)
    .where('attempt', '=', mine.attempt)
    .where('boot', '=', boot)
    .where('lease_until', 'is not', null)
    .executeTakeFirst();
  return renewed.numUpdatedRows > 0n;
}

async function reasonOf(tx: Tx, mine: Held): Promise<'cancelled' | 'stale'> {
  const row = await tx
    .selectFrom('orders')
    .select(['status', 'attempt'])
    .where('id', '=', mine.order)
    .executeTakeFirst();
  return row?.status === 'cancelled' && row.attempt === mine.attempt ? 'cancelled' : 'stale';
}

function takenBy(order: OrderRow, worker: string): Effect {
  const asked = specOf(order).uplet.worker;
  return { do: 'tell_taken', kind: order.kind, worker: isNamed(asked) ? asked : worker };
}

function isNamed(worker: string): boolean {
  return !/^[0-]*$/.test(worker);
}

/** The fence of every write of an attempt: throws `stale_attempt` unless the order runs exactly this attempt. */
export function fence(order: OrderRow | undefined, held: Held): asserts order is OrderRow {
  if (order === undefined) throw new PlatformError('not_found', `There is no order ${held.order}.`);
  if (order.lease_until === null || order.attempt !== held.attempt) {
    throw new PlatformError(
      'stale_attempt',
      `Attempt ${held.attempt} of order ${held.order} does not run any more: the order is ${order.status}, its latest attempt is ${order.attempt}. Stop, and drop the result.`,
    );
  }
}
