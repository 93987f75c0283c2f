const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Calls `late` once so many milliseconds of the wall clock have passed, unless it is disposed of before. Timers count
 * whole milliseconds, and may be one early: nobody is to lose what is left of its time.
 */
export function onWallLimit(wallMs: number, late: () => void): Disposable {
  const timer = setTimeout(late, Math.min(Math.ceil(wallMs) + 1, LONGEST_TIMER_MS));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
