import type { Socket } from 'node:net';
import type { Metrics } from '../../metrics/index.ts';
import { type Check, problemOf } from './ready.ts';

/** One request that is over. */
export interface Measured {
  /** The key of the contract, or `none`. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  readonly socket: Socket | null;
}

/** Notes one request. */
export type Measure = (request: Measured) => void;

/** How often `/metrics` asks the parts whether they answer, in milliseconds. */
const ASK_EVERY_MS = 5000;

/** Measures requests, and what went over their connections; nothing where there are no metrics. */
export function measureRequests(metrics: Metrics | undefined): Measure {
  if (metrics === undefined) return () => undefined;
  const duration = metrics.histogram({
    name: 'http_request_duration_seconds',
    help: 'How long requests took, by route and status, until their answer was sent',
    labels: ['route', 'status'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
  });
  const received = metrics.counter({
    name: 'http_received_bytes_total',
    help: 'Bytes that came in with requests, headers included, by route',
    labels: ['route'],
  });
  const sent = metrics.counter({
    name: 'http_sent_bytes_total',
    help: 'Bytes that went out with answers, headers included, by route',
    labels: ['route'],
  });
  const counted = new WeakMap<Socket, { in: number; out: number }>();
  return ({ route, status, seconds, socket }) => {
    duration.observe({ route, status: String(status) }, seconds);
    if (socket === null) return;
    // A connection counts for its whole life; what was not counted before belongs to this request.
    const before = counted.get(socket) ?? { in: 0, out: 0 };
    const now = { in: socket.bytesRead, out: socket.bytesWritten };
    counted.set(socket, now);
    received.add({ route }, Math.max(0, now.in - before.in));
    sent.add({ route }, Math.max(0, now.out - before.out));
  };
}

/** Shows which parts answer, as `/ready` does, and who is asked. */
export function measureParts(
  metrics: Metrics | undefined,
  checks: Readonly<Record<string, Check>>,
  info: { readonly name: string; readonly version: string },
): void {
  if (metrics === undefined) return;
  metrics
    .gauge({
      name: 'morpheo_build_info',
      help: '1, with the service and its version',
      labels: ['service', 'version'],
    })
    .set({ service: info.name, version: info.version }, 1);
  const up = metrics.gauge({
    name: 'morpheo_dependency_up',
    help: '1 where a part that the service needs answers, 0 where it does not; /ready says why',
    labels: ['service', 'dependency'],
  });
  const refresh = async (): Promise<void> => {
    const asked = Object.entries(checks).map(async ([dependency, check]) => {
      up.set({ service: info.name, dependency }, (await problemOf(check)) === undefined ? 1 : 0);
    });
    await Promise.all(asked);
  };
  metrics.onScrape({ everyMs: ASK_EVERY_MS, refresh });
}
