import { setTimeout as pause } from 'node:timers/promises';

/** Below this, waiting is not worth a timer; in milliseconds. */
const LEAST_MS = 10;

/** Holds work back so that it handles `perSecond` bytes in a second at the most: call it after each piece. */
export function pacer(perSecond: number, signal?: AbortSignal): (bytes: number) => Promise<void> {
  let due = performance.now();
  return async (bytes) => {
    const now = performance.now();
    // What was not used is not saved up.
    due = Math.max(due, now) + (bytes / perSecond) * 1000;
    if (due - now < LEAST_MS) return;
    await pause(due - now, undefined, signal === undefined ? {} : { signal });
  };
}
