import type { Claim } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Attempts } from './attempts.ts';
import { claimOf, type Held, leaseFrom } from './claims.ts';
import type { OrderStore } from './order-store.ts';
import type { OrderRow, Schema, Tx, WorkerRow } from './schema.ts';
import type { WorkerStore } from './worker-store.ts';

/** Lets workers in, and decides what becomes of what their earlier processes ran. */
export interface Registration {
  /**
   * Keeps what a worker says of itself. Of the attempts of its earlier boots those of `resume` stay with it, unless
   * they were taken back or cancelled or have gone on so too often, with their leases renewed; all others are taken
   * back at once. Returns what stayed; the same again where the same boot registers again.
   */
  register(worker: Omit<WorkerRow, 'seen_at'>, resume: readonly Held[]): Promise<Claim[]>;
}

/**
 * So often a worker may go on with the same attempt after a start. One that kills its worker each time would never end
 * otherwise; beyond, the attempt is lost like any other.
 */
export const MOST_RESUMPTIONS = 10;

/** Makes the {@link Registration}. */
export function createRegistration(options: {
  database: Database<Schema>;
  store: OrderStore;
  workers: WorkerStore;
  attempts: Attempts;
  leaseMs: number;
  changed: (order: string) => void;
}): Registration {
  const { database, store, workers, attempts, leaseMs, changed } = options;

  async function goOn(tx: Tx, order: OrderRow, boot: string): Promise<OrderRow> {
    await tx
      .updateTable('attempts')
      .set({ boot })
      .where('order_id', '=', order.id)
      .where('attempt', '=', order.attempt)
      .execute();
    const set = { boot, lease_until: leaseFrom(database, leaseMs) };
    return await store.change(tx, order, set, { what: 'resumed', details: { worker: order.worker } });
  }

  async function claimToGoOn(tx: Tx, order: OrderRow): Promise<Claim> {
    const { last } = await tx
      .selectFrom('logs')
      .select((row) => row.fn.max<number | null>('seq').as('last'))
      .where('order_id', '=', order.id)
      .where('attempt', '=', order.attempt)
      .executeTakeFirstOrThrow();
    return { ...claimOf(order, leaseMs), log_seq: last === null ? 0 : Number(last) + 1 };
  }

  /** One by one and not passing over what is locked for a moment: what is left out here would start again. */
  async function takeUp(
    tx: Tx,
    named: readonly Held[],
    worker: Pick<WorkerRow, 'id' | 'boot'>,
  ): Promise<Claim[]> {
    const resumed: Claim[] = [];
    for (const { order: id, attempt } of named.toSorted((a, b) => (a.order < b.order ? -1 : 1))) {
      const order = await store.takeHeld(tx, { id, attempt, worker: worker.id });
      if (order === undefined) continue;
      if (order.boot !== worker.boot && (await timesResumed(tx, order)) >= MOST_RESUMPTIONS) continue;
      const ours = order.boot === worker.boot ? order : await goOn(tx, order, worker.boot);
      resumed.push(await claimToGoOn(tx, ours));
    }
    return resumed;
  }

  return {
    async register(worker, resume) {
      const { id, boot } = worker;
      const { resumed, lost } = await database.write(async (tx) => {
        await workers.register(tx, worker);
        const resumed = await takeUp(tx, resume, worker);
        const lost = await store.takeRunning(tx, { worker: id, notBoot: boot });
        await attempts.lose(tx, lost, 'its process was started again');
        return { resumed, lost };
      });
      for (const { order } of resumed) changed(order);
      for (const { id: order } of lost) changed(order);
      return resumed;
    },
  };
}

async function timesResumed(tx: Tx, { id, attempt }: OrderRow): Promise<number> {
  const { times } = await tx
    .selectFrom('events')
    .select((row) => row.fn.countAll<number>().as('times'))
    .where('order_id', '=', id)
    .where('attempt', '=', attempt)
    .where('what', '=', 'resumed')
    .executeTakeFirstOrThrow();
  return Number(times);
}
