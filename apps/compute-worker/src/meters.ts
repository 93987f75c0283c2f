import {
  type FailureReason,
  ORDER_KINDS,
  type OrderKind,
  type Report,
  type StepRecord,
} from '@morpheo/common';
import type { Metrics } from '@morpheo/service/metrics';
import type { CacheArea } from './cache/shelf.ts';

/** What a worker counts while it runs. */
export interface WorkerMeters {
  attemptBegan(kind: OrderKind): void;
  /** An attempt of an earlier process of the worker is gone on with, and begins here. */
  attemptResumed(kind: OrderKind): void;
  /** `dropped`: the attempt was not ours any more, and nothing was reported. */
  attemptEnded(kind: OrderKind, outcome: Report['outcome'] | 'dropped', reason?: FailureReason): void;
  stepEnded(kind: OrderKind, record: StepRecord): void;
  /** An input of so many bytes is here; `cached`: it was already. */
  inputCame(bytes: number, cached: boolean): void;
  /** An image is ready; `cached`: it was already. */
  imageCame(cached: boolean): void;
  /** Something was taken from the cache; `hit`: it had not to be made. */
  cacheUsed(area: CacheArea, hit: boolean): void;
  /** A result of so many bytes is staged. */
  resultStaged(bytes: number): void;
}

/** Counts nothing. */
export const silentMeters: WorkerMeters = {
  attemptBegan() {},
  attemptResumed() {},
  attemptEnded() {},
  stepEnded() {},
  inputCame() {},
  imageCame() {},
  cacheUsed() {},
  resultStaged() {},
};

/** What stands at a value now, asked at each scrape. */
export interface WorkerState {
  readonly slots: Readonly<Record<OrderKind, number>>;
  readonly cache: { readonly bytes: number };
  readonly cacheLimit: number;
  readonly gpus: { readonly gpus: readonly unknown[]; readonly free: number };
}

const GIB = 1024 ** 3;

/** Makes the {@link WorkerMeters}. */
export function createWorkerMeters(metrics: Metrics): WorkerMeters {
  const attempts = attemptMeters(metrics);
  const work = workMeters(metrics);
  return {
    ...attempts,
    stepEnded: (kind, { step, seconds, cached, peak_memory_bytes: peak }) => {
      work.seconds.observe({ kind, step, cached: cached === true ? 'yes' : 'no' }, seconds);
      if (peak !== undefined) work.memory.observe({ kind, step }, peak);
    },
    inputCame: (bytes, cached) => work.inputs.add({ from: cached ? 'cache' : 'storage' }, bytes),
    imageCame: (cached) => work.images.add({ result: cached ? 'found' : 'built' }),
    cacheUsed: (area, hit) => work.cache.add({ area, result: hit ? 'hit' : 'miss' }),
    resultStaged: (bytes) => work.results.add({}, bytes),
  };
}

/** Shows the {@link WorkerState} at each scrape. */
export function watchWorker(metrics: Metrics, { slots, cache, cacheLimit, gpus }: WorkerState): void {
  const gauge = (name: string, help: string) => metrics.gauge({ name: `morpheo_worker_${name}`, help });
  const room = metrics.gauge({
    name: 'morpheo_worker_slots',
    help: 'How many orders run at once at most, by kind',
    labels: ['kind'],
  });
  for (const kind of ORDER_KINDS) room.set({ kind }, slots[kind]);
  const bytes = gauge('cache_bytes', 'What the cache holds, in use or not');
  gauge('cache_limit_bytes', 'What the cache may hold beside what is in use').set({}, cacheLimit);
  gauge('gpus', 'GPUs that are leased to orders').set({}, gpus.gpus.length);
  const free = gauge('gpus_free', 'GPUs with room for one more order');
  const refresh = async (): Promise<void> => {
    bytes.set({}, cache.bytes);
    free.set({}, gpus.free);
  };
  metrics.onScrape({ everyMs: 0, refresh });
}

function attemptMeters(
  metrics: Metrics,
): Pick<WorkerMeters, 'attemptBegan' | 'attemptResumed' | 'attemptEnded'> {
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
  const now: Record<OrderKind, number> = { learn: 0, predict: 0 };
  const add = (kind: OrderKind, by: number): void => {
    now[kind] += by;
    running.set({ kind }, now[kind]);
  };
  for (const kind of ORDER_KINDS) add(kind, 0);
  return {
    attemptBegan: (kind) => add(kind, 1),
    attemptResumed: (kind) => resumed.add({ kind }),
    attemptEnded: (kind, outcome, reason) => {
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
