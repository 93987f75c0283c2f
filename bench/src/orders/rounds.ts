import { computeClient } from '@morpheo/client';
import { PAGE } from '@morpheo/common';
import { median, percentile } from '../bench.ts';
import type { ServerProcess } from '../process/start-server.ts';
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

/** Throws where the list of compute-api holds anything but exactly these orders. */
export async function requireListed(url: string, ids: readonly string[]): Promise<void> {
  const missing = new Set(ids);
  const compute = computeClient({ url });
  let cursor: string | undefined;
  do {
    const page = await compute.listOrders({ query: { limit: PAGE.most, cursor } });
    for (const { id } of page.items) {
      if (!missing.delete(id)) throw new Error(`The list holds the order ${id} twice, or nobody ordered it`);
    }
    cursor = page.next;
  } while (cursor !== undefined);
  if (missing.size > 0)
    throw new Error(`${missing.size} of ${ids.length} accepted orders are not in the list`);
}
