import { sleep } from './async.ts';
import { errnoOf, isPlatformError } from './errors.ts';

/** A pause that doubles from `firstMs` to `mostMs`. */
export interface BackOff {
  readonly firstMs: number;
  readonly mostMs: number;
  /**
   * The share of each pause that chance may take away, so that what broke together does not come back together: 0 for
   * none, 0.25 for up to a quarter, 1 for any pause down to none.
   */
  readonly jitter: number;
}

/** The pause after so many failed tries, in whole milliseconds: 0 after none, `firstMs` after one, then doubling. */
export function delayMs(tries: number, { firstMs, mostMs, jitter }: BackOff): number {
  if (tries <= 0) return 0;
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(tries - 1, 30));
  return Math.round(full * (1 - Math.random() * jitter));
}

/** How {@link retry} goes about it. */
export interface RetryOptions extends BackOff {
  /** The most tries, the first included; without end where absent. */
  readonly tries?: number | undefined;
  /** Whether an error is worth another try; {@link isTransient} where absent. */
  readonly retryIf?: ((error: unknown) => boolean) | undefined;
  /** The least pause that an error itself asks for, in milliseconds. */
  readonly leastMs?: ((error: unknown) => number) | undefined;
  /** Called with each error that another try follows. */
  readonly onRetry?: ((error: unknown) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Does work until it succeeds, with pauses that grow. Rejects with the last error where that is not worth another try
 * or the tries are used up, and with the signal's reason as soon as it aborts; work under way is waited for.
 */
export async function retry<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { tries = Number.POSITIVE_INFINITY, retryIf = isTransient, signal } = options;
  signal?.throwIfAborted();
  for (let failed = 1; ; failed += 1) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (failed >= tries || !retryIf(error)) throw error;
      options.onRetry?.(error);
      await sleep(Math.max(delayMs(failed, options), options.leastMs?.(error) ?? 0), signal);
    }
  }
}

const CONNECTION = /^(?:E(?:CONN|PIPE|HOST|NET|TIMEDOUT|AI_)|UND_ERR_)/;

/** True for what may go away by itself: an error whose code says so, or a connection that broke. */
export function isTransient(error: unknown): boolean {
  if (isPlatformError(error)) return error.retry;
  return error instanceof TypeError || CONNECTION.test(errnoOf(error) ?? '');
}
