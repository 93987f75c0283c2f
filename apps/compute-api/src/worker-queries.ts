import type { GpuDevice, OrderKind, WorkerView } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { sql } from 'kysely';
import { time } from './order-views.ts';
import type { AttemptRow, OrderRow, Schema, WorkerRow } from './schema.ts';

/** The questions about workers and the queue that change nothing. */
export class WorkerQueries {
  readonly #database: Database<Schema>;
  readonly #leaseMs: number;

  /** `leaseMs`: a worker that was not heard of for so long counts as gone. */
  constructor(database: Database<Schema>, leaseMs: number) {
    this.#database = database;
    this.#leaseMs = leaseMs;
  }

  /** The database's time in milliseconds since 1970. */
  async now(): Promise<number> {
    const { rows } = await sql<{ now: number }>`select ${this.#database.now} as now`.execute(
      this.#database.read,
    );
    return Number(rows[0]?.now);
  }

  /** How many orders of a kind the living workers run at once. */
  async slots(kind: OrderKind): Promise<number> {
    const { slots } = await this.#database.read
      .selectFrom('workers')
      .select((row) => row.fn.sum<number | null>(`${kind}_slots`).as('slots'))
      .where('seen_at', '>', sql<number>`${this.#database.now} - ${this.#leaseMs}`)
      .executeTakeFirstOrThrow();
    return Number(slots ?? 0);
  }

  /** The GPUs of the living workers that take a kind: how many each has, and how many it could lease now. */
  async gpus(kind: OrderKind): Promise<WorkerGpus[]> {
    const workers = await this.#database.read
      .selectFrom('workers')
      .select(['id', 'gpu_total', 'gpu_slots'])
      .select((row) =>
        row
          .selectFrom('orders')
          .select((order) => order.fn.sum<number | null>('orders.gpus').as('leased'))
          .whereRef('orders.worker', '=', 'workers.id')
          .where('orders.lease_until', 'is not', null)
          .as('leased'),
      )
      .where('seen_at', '>', sql<number>`${this.#database.now} - ${this.#leaseMs}`)
      .where(`${kind}_slots`, '>', 0)
      .execute();
    return workers.map(({ id, gpu_total: total, gpu_slots, leased }) => ({
      worker: id,
      total,
      free: Math.max(0, Math.min(total, total * gpu_slots - Number(leased ?? 0))),
    }));
  }

  /** True while the operator lets nothing be claimed. */
  async paused(): Promise<boolean> {
    const row = await this.#database.read
      .selectFrom('switches')
      .select('value')
      .where('name', '=', 'paused')
      .executeTakeFirst();
    return row?.value === 1;
  }

  /** Every worker that ever registered, the one heard of last first, with what it runs. */
  async list(): Promise<WorkerView[]> {
    const now = await this.now();
    const workers = await this.#database.read
      .selectFrom('workers')
      .selectAll()
      .orderBy('seen_at', 'desc')
      .limit(1000)
      .execute();
    const running = await this.#database.read
      .selectFrom('orders')
      .innerJoin('attempts', (join) =>
        join.onRef('attempts.order_id', '=', 'orders.id').onRef('attempts.attempt', '=', 'orders.attempt'),
      )
      .select(['orders.id', 'orders.kind', 'orders.attempt', 'orders.worker', 'orders.gpus'])
      .select('attempts.started_at')
      .where('orders.lease_until', 'is not', null)
      .execute();
    return workers.map((worker) =>
      viewOf(
        worker,
        worker.seen_at > now - this.#leaseMs,
        running.filter((order) => order.worker === worker.id),
      ),
    );
  }
}

/** The GPUs of a worker. */
export interface WorkerGpus {
  readonly worker: string;
  readonly total: number;
  /** How many have room for one more order. */
  readonly free: number;
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
