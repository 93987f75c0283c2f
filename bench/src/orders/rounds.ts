import type { ServerProcess } from '../process/start-server.ts';
import { median, percentile } from '../statistics.ts';
import { load } from './load.ts';
import { nextOrder } from './next-order.ts';

/** What came of loading a server for a while. */
export interface Round {
  /** The ids of the orders. */
  readonly accepted: readonly string[];
  readonly perSecond: number;
  /** Milliseconds from a request to its answer. */
  readonly p50: number;
  readonly p99: number;
  /** What the server's process took for one, in microseconds. */
  readonly cpuMicros: number;
}

/** What came of several rounds: of each figure the median. */
export type Summary = Omit<Round, 'accepted'>;

/** Loads a server with learn orders for `ms` milliseconds. */
export async function round(server: ServerProcess, how: { callers: number; ms: number }): Promise<Round> {
  const before = await server.usage();
  const { accepted, latencies, seconds } = await load({
    url: server.url,
    path: '/learn',
    next: nextOrder,
    ...how,
  });
  const after = await server.usage();
  return {
    accepted,
    perSecond: accepted.length / seconds,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    cpuMicros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / accepted.length,
  };
}

/** The medians of some rounds. */
export function summary(rounds: readonly Round[]): Summary {
  const middle = (of: (one: Round) => number) => median(rounds.map(of));
  return {
    perSecond: middle((one) => one.perSecond),
    p50: middle((one) => one.p50),
    p99: middle((one) => one.p99),
    cpuMicros: middle((one) => one.cpuMicros),
  };
}
