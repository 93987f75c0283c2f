import { isPlatformError } from '@morpheo/common';
import type { Metrics } from '@morpheo/service/metrics';

/** Counts calls: how they end, and how long they took. */
export interface CallMetrics {
  /** A call has ended, after so many milliseconds, well or with an error. */
  readonly ended: (ms: number, error?: unknown) => void;
}

/** The figures of calls; `counts` says how many wait, and how many workers have. */
export function measureCalls(
  metrics: Metrics,
  counts: () => { readonly waiting: number; readonly running: number },
): CallMetrics {
  const outcomes = metrics.counter({
    name: 'morpheo_compute_calls_total',
    help: 'Synchronous calls that were answered, by outcome: done, or the code of the error',
    labels: ['outcome'],
  });
  const seconds = metrics.histogram({
    name: 'morpheo_compute_call_duration_seconds',
    help: 'From the arrival of synchronous calls to their answers',
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
  });
  const open = metrics.gauge({
    name: 'morpheo_compute_calls_open',
    help: 'Synchronous calls that wait for a worker, and that a worker has',
    labels: ['state'],
  });
  outcomes.add({ outcome: 'done' }, 0);
  metrics.onScrape({
    everyMs: 1000,
    refresh: async () => {
      const { waiting, running } = counts();
      open.set({ state: 'waiting' }, waiting);
      open.set({ state: 'running' }, running);
    },
    stale: [open],
  });
  return {
    ended: (ms, error) => {
      const outcome = error === undefined ? 'done' : isPlatformError(error) ? error.code : 'internal';
      outcomes.add({ outcome });
      seconds.observe({}, ms / 1000);
    },
  };
}
