import { ORDER_KINDS } from '@morpheo/common';
import type { Gauge, Metrics } from '@morpheo/service/metrics';
import { sql } from 'kysely';
import { type ComputeDatabase, timeOf } from '../db/database.ts';
import { countOf, type Range } from '../db/ranges.ts';
import { isPaused } from '../workers/store.ts';

/** The states of orders that have not ended. */
const QUEUED = ['waiting', 'todo', 'pending'] as const;
const LANES = ['storage', 'orchestrator', 'callback'] as const;
/** A queue is counted up to this length: of more the gauge tells as many. */
const MOST_TOLD = 100_000;
/** However many scrape, the database is asked this often at most, in milliseconds. */
const EVERY_MS = 1000;

/** Shows at each scrape what the database knows of the queue, its effects and its workers: reads of indexes alone. */
export function measureQueue(metrics: Metrics, database: ComputeDatabase, leaseMs: number): void {
  const gauges = createGauges(metrics);
  const refresh = async (): Promise<void> => {
    const now = await timeOf(database);
    await setOrders(gauges, database, now);
    await setOutbox(gauges, database, now);
    await setWorkers(gauges, database, now - leaseMs);
  };
  metrics.onScrape({ everyMs: EVERY_MS, refresh, stale: Object.values<Pick<Gauge, 'clear'>>({ ...gauges }) });
}

function createGauges(metrics: Metrics) {
  const gauge = <Label extends string = never>(
    name: string,
    help: string,
    ...labels: Label[]
  ): Gauge<Label> => metrics.gauge({ name: `morpheo_compute_${name}`, help, labels });
  return {
    depth: gauge(
      'queue_orders',
      'Orders that have not ended, by kind and status, up to 100,000',
      'kind',
      'status',
    ),
    oldest: gauge('queue_oldest_seconds', 'Age of the oldest order of a kind and status', 'kind', 'status'),
    leases: gauge('leases_held', 'Orders that a worker holds now, by kind', 'kind'),
    effects: gauge('outbox_effects', 'What other systems are still to be told, by lane', 'lane'),
    effectAge: gauge('outbox_oldest_seconds', 'Age of the oldest of them, by lane', 'lane'),
    failing: gauge('outbox_failing', 'How many of them have failed at least once, by lane', 'lane'),
    alive: gauge('workers_alive', 'Workers that were heard of within a lease'),
    slots: gauge('worker_slots', 'How many orders the living workers run at once, by kind', 'kind'),
    gpus: gauge('gpus', 'GPUs of the living workers'),
    leasedGpus: gauge(
      'gpus_leased',
      'GPUs that running orders have leased; one that is shared counts for each',
    ),
    paused: gauge('queue_paused', '1 while the operator lets nothing be claimed'),
  };
}

type Gauges = ReturnType<typeof createGauges>;

async function setOrders(gauges: Gauges, { read }: ComputeDatabase, now: number): Promise<void> {
  for (const kind of ORDER_KINDS) {
    for (const status of QUEUED) {
      const range: Range = (row) => row.and({ kind, status });
      const { total } = await countOf(read, [range], MOST_TOLD);
      const oldest = await read
        .selectFrom('orders')
        .select((row) => row.fn.min('created_at').as('at'))
        .where(range)
        .executeTakeFirst();
      gauges.depth.set({ kind, status }, total);
      gauges.oldest.set({ kind, status }, secondsSince(oldest?.at ?? null, now));
    }
  }
}

async function setOutbox(gauges: Gauges, { read }: ComputeDatabase, now: number): Promise<void> {
  const rows = await read
    .selectFrom('outbox')
    .select(({ fn }) => ['lane', fn.countAll<number>().as('n'), fn.min('created_at').as('oldest')])
    .select(sql<number>`sum(case when tries > 0 then 1 else 0 end)`.as('failing'))
    .groupBy('lane')
    .execute();
  for (const lane of LANES) {
    const row = rows.find((one) => one.lane === lane);
    gauges.effects.set({ lane }, Number(row?.n ?? 0));
    gauges.effectAge.set({ lane }, secondsSince(row?.oldest ?? null, now));
    gauges.failing.set({ lane }, Number(row?.failing ?? 0));
  }
}

async function setWorkers(gauges: Gauges, { read }: ComputeDatabase, since: number): Promise<void> {
  const workers = await read
    .selectFrom('workers')
    .select(['learn_slots', 'predict_slots', 'job_slots', 'gpu_total'])
    .where('seen_at', '>', since)
    .execute();
  const leased = await read
    .selectFrom('orders')
    .select(({ fn }) => ['kind', fn.countAll<number>().as('n'), fn.sum<number>('gpus').as('gpus')])
    .where('lease_until', '>', 0)
    .groupBy('kind')
    .execute();
  const paused = await isPaused(read);
  gauges.alive.set({}, workers.length);
  gauges.gpus.set({}, sum(workers.map((worker) => worker.gpu_total)));
  gauges.leasedGpus.set({}, sum(leased.map(({ gpus }) => Number(gpus))));
  gauges.paused.set({}, paused ? 1 : 0);
  for (const kind of ORDER_KINDS) {
    gauges.slots.set({ kind }, sum(workers.map((worker) => worker[`${kind}_slots`])));
    gauges.leases.set({ kind }, Number(leased.find((one) => one.kind === kind)?.n ?? 0));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function secondsSince(time: number | string | null, now: number): number {
  return time === null ? 0 : Math.max(0, now - Number(time)) / 1000;
}
