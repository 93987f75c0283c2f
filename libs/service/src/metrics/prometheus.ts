import * as prometheus from 'prom-client';
import type { Counter, Gauge, Histogram, Labels, Metric, Metrics, OnScrape } from './metrics.ts';
import { Refresher } from './refresher.ts';

/** What to measure beside what is asked for. */
export interface MetricsOptions {
  /** Memory, CPU, event loop and garbage collection of the process: ask for it once a process. */
  readonly process?: boolean;
}

/** The figures of one service, never those of the whole process; see {@link Metrics}. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const register = new prometheus.Registry();
  const refreshers = new Set<Refresher>();
  let isWatched = false;
  /** From the first scrape on: the event loop is watched by a timer of 10 ms, which nobody pays for who never asks. */
  const watchProcess = (): void => {
    if (isWatched || options.process !== true) return;
    isWatched = true;
    prometheus.collectDefaultMetrics({ register });
  };
  return {
    contentType: register.contentType,
    counter: (what) => counter(what, register),
    gauge: (what) => gauge(what, register),
    histogram: (what) => histogram(what, register),
    onScrape(what: OnScrape) {
      const refresher = new Refresher(what);
      refreshers.add(refresher);
      return { [Symbol.dispose]: () => void refreshers.delete(refresher) };
    },
    async expose() {
      watchProcess();
      await Promise.all([...refreshers].map(async (refresher) => await refresher.refresh()));
      return await register.metrics();
    },
  };
}

function configuration<Label extends string>(
  { name, help, labels = [] }: Metric<Label>,
  register: prometheus.Registry,
) {
  return { name, help, labelNames: [...labels], registers: [register] };
}

/** The figure of this name where it was asked for before, as by a worker that is started again in one process. */
function known<T>(
  name: string,
  register: prometheus.Registry,
  type: abstract new (...args: never[]) => T,
): T | undefined {
  const found: unknown = register.getSingleMetric(name);
  return found instanceof type ? found : undefined;
}

function counter<Label extends string>(what: Metric<Label>, register: prometheus.Registry): Counter<Label> {
  const one =
    known(what.name, register, prometheus.Counter<string>) ??
    new prometheus.Counter<string>(configuration(what, register));
  return { add: (labels: Labels<Label>, by = 1) => one.inc({ ...labels }, by) };
}

function gauge<Label extends string>(what: Metric<Label>, register: prometheus.Registry): Gauge<Label> {
  const one =
    known(what.name, register, prometheus.Gauge<string>) ??
    new prometheus.Gauge<string>(configuration(what, register));
  const clear = () => {
    one.reset();
    // One without labels stands at 0 otherwise, which nobody has said.
    if ((what.labels ?? []).length === 0) one.remove();
  };
  clear();
  return { set: (labels: Labels<Label>, value) => one.set({ ...labels }, value), clear };
}

function histogram<Label extends string>(
  what: Metric<Label> & { readonly buckets: readonly number[] },
  register: prometheus.Registry,
): Histogram<Label> {
  const one =
    known(what.name, register, prometheus.Histogram<string>) ??
    new prometheus.Histogram<string>({ ...configuration(what, register), buckets: [...what.buckets] });
  // The sum of its values is a counter to Prometheus, which takes a smaller one for a restart.
  return { observe: (labels: Labels<Label>, value) => one.observe({ ...labels }, Math.max(0, value)) };
}
