import { PlatformError } from '@morpheo/common';

/** Runs work at its turn; see {@link createAuthThrottle}. */
export type AuthThrottle = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * Lets at most `atOnce` works run side by side and `waiting` more stand in line, first come, first served.
 * Where the line is full the work is not started and `rate_limited` is thrown.
 */
export function createAuthThrottle(atOnce: number, waiting: number): AuthThrottle {
  let running = 0;
  const line: (() => void)[] = [];
  return async (work) => {
    if (running >= atOnce) {
      if (line.length >= waiting) {
        throw new PlatformError(
          'rate_limited',
          'Too many credentials are being checked; try again in a second.',
        );
      }
      await new Promise<void>((resolve) => line.push(resolve));
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      const next = line.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
