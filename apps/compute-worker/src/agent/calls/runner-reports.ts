import type { CallExchange, RunnerReport } from '@morpheo/common';
import type { RunnerView } from '../../runners/index.ts';

/** How many calls may wait at a worker for runners of a key, beside those that the runners have. */
const MOST_WAITING = 100;
const MOST_TOLD = 2000;

/** What compute-api is told of runners. */
export function reportsOf(views: readonly RunnerView[]): RunnerReport[] {
  return views.slice(0, MOST_TOLD).map(({ key, shown, protocol, state, ...view }) => ({
    ...{ key, state, protocol, owner: shown.owner, image: shown.image.slice(0, 1000) },
    ...(shown.model === undefined ? {} : { model: shown.model }),
    memory_bytes: view.memoryBytes,
    gpus: view.gpus,
    age_seconds: Math.floor(view.ageMs / 1000),
    calls: view.calls,
    waiting: view.waiting,
    ...(view.problem === undefined ? {} : { problem: view.problem.slice(0, 1000) }),
  }));
}

/**
 * For how many more calls there is room at the runners that are there, or start, by the keys of calls. As many as the
 * runners take at a time may wait for them here: so none has to wait for an exchange between two calls.
 */
export function readyOf(
  views: readonly RunnerView[],
  keys: Iterable<readonly [call: string, plan: string]>,
): CallExchange['ready'] {
  const rooms = new Map<string, number>();
  for (const { key, state, underWay, free, waiting } of views) {
    if (state === 'ending' || state === 'broken') continue;
    const takes = Math.max(1, underWay + free);
    // Whoever waits, waits for all runners of the key.
    const before = rooms.get(key) ?? -waiting;
    rooms.set(key, Math.min(before + 2 * takes - underWay, MOST_WAITING - waiting));
  }
  const ready: CallExchange['ready'] = [];
  for (const [key, plan] of keys) {
    const room = rooms.get(plan);
    if (room !== undefined && room > 0 && ready.length < MOST_TOLD) ready.push({ key, room });
  }
  return ready;
}
