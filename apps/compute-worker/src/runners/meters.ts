import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Runners, RunnerView } from './index.ts';
import type { CallOutcome, RunnerMeters } from './settings.ts';

const STATES: readonly RunnerView['state'][] = ['starting', 'idle', 'busy', 'ending', 'broken'];
const OUTCOMES: readonly CallOutcome[] = [
  'answered',
  'failed',
  'ended',
  'timed_out',
  'cancelled',
  'broken',
  'refused',
  'error',
];

/** Counts the calls of warm runners; without `metrics` for nobody. */
export function createRunnerMeters(metrics: Metrics = createMetrics()): RunnerMeters {
  const ended = metrics.counter({
    name: 'morpheo_worker_calls_total',
    help: 'Calls of warm runners that ended, by outcome',
    labels: ['outcome'],
  });
  for (const outcome of OUTCOMES) ended.add({ outcome }, 0);
  const seconds = metrics.histogram({
    name: 'morpheo_worker_call_seconds',
    help: 'How long calls that were answered waited for a runner, for its start, and ran',
    labels: ['phase'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60, 300, 1800],
  });
  return {
    callEnded: (outcome, ms) => {
      ended.add({ outcome });
      for (const [phase, took] of Object.entries(ms ?? {})) seconds.observe({ phase }, took / 1000);
    },
  };
}

/** Shows at each scrape how many runners are in which state. */
export function watchRunners(metrics: Metrics, runners: Runners): Disposable {
  const now = metrics.gauge({
    name: 'morpheo_worker_runners',
    help: 'Warm runners, by state; broken: none is started any more, since starts failed',
    labels: ['state'],
  });
  const refresh = async (): Promise<void> => {
    const all = runners.list();
    for (const state of STATES) now.set({ state }, all.filter((one) => one.state === state).length);
  };
  return metrics.onScrape({ everyMs: 0, refresh });
}

/** Which runners would not start, in a line for whoever runs the worker; undefined where there are none. */
export function runnersWarning(runners: Runners): string | undefined {
  const broken = runners.list().filter(({ state }) => state === 'broken');
  const [first] = broken;
  if (first === undefined) return undefined;
  const others = broken.length === 1 ? '' : `, and ${broken.length - 1} more`;
  return `no warm runner is started of ${first.shown.image}${others}: ${first.problem ?? 'starts failed'}`;
}
