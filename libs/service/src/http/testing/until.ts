import { setImmediate } from 'node:timers/promises';

/** Tries `condition` at every turn of the event loop until it holds; throws when it does not within a minute. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('It did not come to hold within a minute');
    await setImmediate();
  }
}
