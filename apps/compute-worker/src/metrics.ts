import {
  type FailureReason,
  ORDER_KINDS,
  type OrderKind,
  type Report,
  type Slots,
  type StepRecord,
} from '@morpheo/common';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { CacheArea } from './inputs/cache/entries.ts';

/** What stands at a value now, asked at each scrape. */
export interface WorkerState {
  readonly slots: Slots;
  readonly cache: { readonly bytes: number };
  readonly cacheLimit: number;
  readonly gpus: { readonly gpus: readonly unknown[]; readonly free: number };
}

const GIB = 1024 ** 3;

/** What a worker counts while it runs; see {@link createWorkerMeters}. */
export type WorkerMeters = ReturnType<typeof createWorkerMeters>;

/** Makes the meters of a worker; without `metrics` they count for nobody. */
export function createWorkerMeters(metrics: Metrics = createMetrics()) {
  const work = workMeters(metrics);
  return {
    ...attemptMeters(metrics),
    stepEnded: (kind: OrderKind, { step, seconds, cached, peak_memory_bytes: peak }: StepRecord): void => {
      work.seconds.observe({ kind, step, cached: cached === true ? 'yes' : 'no' }, seconds);
      if (peak !== undefined) work.memory.observe({ kind, step }, peak);
    },
    /** An input of so many bytes is here; `cached`: it was already. */
    inputCame: (bytes: number, cached: boolean): void =>
      work.inputs.add({ from: cached ? 'cache' : 'storage' }, bytes),
    /** An image is ready; `cached`: it was already. */
    imageCame: (cached: boolean): void => work.images.add({ result: cached ? 'found' : 'built' }),
    /** Something was taken from the cache; `hit`: it had not to be made. */
    cacheUsed: (area: CacheArea, hit: boolean): void =>
      work.cache.add({ area, result: hit ? 'hit' : 'miss' }),
    /** A result of so many bytes is staged. */
    resultStaged: (bytes: number): void => work.results.add({}, bytes),
  };
}

/** Shows the {@link WorkerState} at each scrape. */
export function watchWorker(metrics: Metrics, { slots, cache, cacheLimit, gpus }: WorkerState): Disposable {
  const gauge = (name: string, help: string) => metrics.gauge({ name: `morpheo_worker_${name}`, help });
  const room = metrics.gauge({
    name: 'morpheo_worker_slots',
    help: 'How many orders run at once at most, by kind',
    labels: ['kind'],
  });
  for (const kind of ORDER_KINDS) room.set({ kind }, slots[kind] ?? 0);
  const bytes = gauge('cache_bytes', 'What the cache holds, in use or not');
  gauge('cache_limit_bytes', 'What the cache may hold beside what is in use').set({}, cacheLimit);
  gauge('gpus', 'GPUs that are leased to orders').set({}, gpus.gpus.length);
  const free = gauge('gpus_free', 'GPUs with room for one more order');
  const refresh = async (): Promise<void> => {
    bytes.set({}, cache.bytes);
    free.set({}, gpus.free);
  };
  return metrics.onScrape({ everyMs: 0, refresh });
}

function attemptMeters(metrics: Metrics) {
  const ended = metrics.counter({
    name: 'morpheo_worker_attempts_total',
    help: 'Attempts that ended, by kind and outcome',
    labels: ['kind', 'outcome'],
  });
  const failures = metrics.counter({
    name: 'morpheo_worker_failures_total',
    help: 'Attempts that failed or broke off, by kind and reason',
    labels: ['kind', 'reason'],
  });
  const resumed = metrics.counter({
    name: 'morpheo_worker_attempts_resumed_total',
    help: 'Attempts that were gone on with after the worker was started again, by kind',
    labels: ['kind'],
  });
  for (const kind of ORDER_KINDS) resumed.add({ kind }, 0);
  const running = metrics.gauge({
    name: 'morpheo_worker_attempts_running',
    help: 'Attempts under way, by kind',
    labels: ['kind'],
  });
  const now = new Map<OrderKind, number>();
  const add = (kind: OrderKind, by: number): void => {
    now.set(kind, (now.get(kind) ?? 0) + by);
    running.set({ kind }, now.get(kind) ?? 0);
  };
  for (const kind of ORDER_KINDS) add(kind, 0);
  return {
    attemptBegan: (kind: OrderKind): void => add(kind, 1),
    /** An attempt of an earlier process of the worker is resumed, and begins here. */
    attemptResumed: (kind: OrderKind): void => resumed.add({ kind }),
    /** `dropped`: the attempt was lost, and nothing was reported. */
    attemptEnded: (kind: OrderKind, outcome: Report['outcome'] | 'dropped', reason?: FailureReason): void => {
      add(kind, -1);
      ended.add({ kind, outcome });
      if (reason !== undefined) failures.add({ kind, reason });
    },
  };
}

function workMeters(metrics: Metrics) {
  return {
    seconds: metrics.histogram({
      name: 'morpheo_worker_step_duration_seconds',
      help: 'How long steps took, by kind, step, and whether their work was found done',
      labels: ['kind', 'step', 'cached'],
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 14_400],
    }),
    memory: metrics.histogram({
      name: 'morpheo_worker_step_peak_memory_bytes',
      help: 'The most memory that the containers of steps had, where the runtime can tell',
      labels: ['kind', 'step'],
      buckets: [GIB / 16, GIB / 4, GIB / 2, GIB, 2 * GIB, 4 * GIB, 8 * GIB, 16 * GIB, 64 * GIB],
    }),
    inputs: metrics.counter({
      name: 'morpheo_worker_input_bytes_total',
      help: 'Bytes of inputs that attempts needed, by where they came from',
      labels: ['from'],
    }),
    results: metrics.counter({
      name: 'morpheo_worker_result_bytes_total',
      help: 'Bytes of results that were staged on storage',
    }),
    images: metrics.counter({
      name: 'morpheo_worker_images_total',
      help: 'Images that attempts needed, by whether they were built for it or found',
      labels: ['result'],
    }),
    cache: metrics.counter({
      name: 'morpheo_worker_cache_uses_total',
      help: 'What was taken from the cache, by area, and whether it was there',
      labels: ['area', 'result'],
    }),
  };
}
