import { setTimeout as sleep } from 'node:timers/promises';
import { isPlatformError } from '@morpheo/common';
import type { Random } from '@morpheo/real-parts';
import type { Onlooker } from './account.ts';
import type { Cluster } from './cluster/cluster.ts';

type ComputeApi = Cluster['computeApis'][number];
type LateCall = (
  api: ComputeApi,
  params: { readonly id: string; readonly attempt: number },
) => Promise<unknown>;

/** What the worker of a lost attempt may say when it wakes; whichever is taken would be seen in the account. */
const CALLS: Readonly<Record<string, LateCall>> = {
  failed: async (api, params) => {
    const failure = {
      reason: 'exit_code',
      message: 'It exited with 1.',
      exit_code: 1,
      step: 'train',
    } as const;
    await api.reportAttempt({ params, body: { outcome: 'failed', failure } });
  },
  error: async (api, params) => {
    const failure = { reason: 'internal', message: 'It broke.' } as const;
    await api.reportAttempt({ params, body: { outcome: 'error', failure } });
  },
  released: async (api, params) => await api.reportAttempt({ params, body: { outcome: 'released' } }),
  events: async (api, params) =>
    await api.noteEvents({ params, body: { events: [{ what: 'started', seq: 100_000, step: 'train' }] } }),
  step: async (api, params) => await api.noteStep({ params, body: { what: 'started', step: 'train' } }),
  log: async (api, params) => {
    const chunk = { seq: 1_000_000, step: 'train', stream: 'stdout', text: 'late' } as const;
    await api.appendLog({ params, body: { chunks: [chunk] } });
  },
};

/** The calls of attempts that were lost, made again and again in their workers' place. */
export interface LateCalls extends AsyncDisposable {
  /** How many were refused as stale. */
  readonly refused: number;
  /** A sentence on each that was taken. */
  readonly taken: readonly string[];
}

const EVERY_MS = 500;
const AT_ONCE = 20;

/** Starts to make each late call of each lost attempt once, at any of the APIs, until it is disposed. */
export function startLateCalls({ computeApis }: Cluster, database: Onlooker, random: Random): LateCalls {
  const over = new Set<string>();
  const taken: string[] = [];
  let refused = 0;
  const say = async (call: string, id: string, attempt: number) => {
    const said = `${call} of attempt ${attempt} of ${id}`;
    if (over.has(said)) return;
    try {
      await CALLS[call]?.(random.pick(computeApis), { id, attempt });
      taken.push(`a late ${said} was taken`);
    } catch (error) {
      // Whoever does not answer is asked again.
      if (!isPlatformError(error, 'stale_attempt')) return;
      refused += 1;
    }
    over.add(said);
  };
  const look = async () => {
    for (const { order_id, attempt } of await latelyLost(database))
      for (const call of Object.keys(CALLS)) await say(call, order_id, attempt);
  };
  const stop = new AbortController();
  const looking = (async () => {
    while (!stop.signal.aborted) {
      await look().catch(() => undefined);
      await sleep(EVERY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return {
    taken,
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await looking;
    },
  };
}

async function latelyLost({ read }: Onlooker) {
  return await read
    .selectFrom('attempts')
    .select(['order_id', 'attempt'])
    .where('outcome', '=', 'lost')
    .orderBy('ended_at', 'desc')
    .limit(AT_ONCE)
    .execute();
}
