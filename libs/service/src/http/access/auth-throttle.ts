import { PlatformError } from '@morpheo/common';

/** Runs the work of a client at its turn, that of nobody in particular without a share; see {@link createAuthThrottle}. */
export type AuthThrottle = <T>(client: string | undefined, work: () => Promise<T>) => Promise<T>;

/** How much is done side by side, and how much may stand in line, of all and of each client. */
export interface ThrottleLimits {
  readonly atOnce: number;
  readonly waiting: number;
  readonly each: number;
}

/**
 * Lets at most `atOnce` works run side by side and `waiting` more stand in line, first come, first served; of one client
 * `each` at most, so that it leaves room to others. Where the line is full, or the share of the client, the work is not
 * started and `rate_limited` is thrown.
 */
export function createAuthThrottle({ atOnce, waiting, each }: ThrottleLimits): AuthThrottle {
  let running = 0;
  const line: { readonly client: string | undefined; readonly start: () => void }[] = [];
  const isFull = (client: string | undefined) =>
    line.length >= waiting ||
    (client !== undefined && line.filter((one) => one.client === client).length >= each);
  return async (client, work) => {
    if (running >= atOnce) {
      if (isFull(client)) {
        throw new PlatformError(
          'rate_limited',
          'Too many credentials are being checked; try again in a second.',
        );
      }
      await new Promise<void>((start) => line.push({ client, start }));
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      const next = line.shift();
      if (next === undefined) running--;
      else next.start();
    }
  };
}
