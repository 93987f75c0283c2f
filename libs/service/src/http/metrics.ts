import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export { Counter, Gauge, Registry };

/** What to measure beside the requests. */
export interface MetricsOptions {
  /** Memory, CPU, event loop and garbage collection of the process: ask for it once a process. */
  readonly process?: boolean;
}

/** A registry of its own for one app, never the global one of the process. */
export function createMetrics(options: MetricsOptions = {}): Registry {
  const register = new Registry();
  if (options.process === true) collectDefaultMetrics({ register });
  return register;
}

/** Notes one request: its route (the key of the contract, or `none`), the status it got, and how long it took. */
export type Measure = (route: string, status: number, seconds: number) => void;

/** Measures requests in `registry`, as the histogram `http_request_duration_seconds`; nothing where there is none. */
export function measureRequests(registry: Registry | undefined): Measure {
  if (registry === undefined) return () => undefined;
  const histogram = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'How long requests took, by route and status, until their answer was sent',
    labelNames: ['route', 'status'] as const,
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
    registers: [registry],
  });
  return (route, status, seconds) => histogram.observe({ route, status }, seconds);
}
