import { isPlatformError, PlatformError } from '@morpheo/common';
import pRetry from 'p-retry';
import { type Task, within } from './abort.ts';

/** How often and how fast a call is tried again. */
export interface Patience {
  /** How often after the first try; without end where absent. */
  readonly retries?: number;
  /** The first pause, in milliseconds; each further one is twice as long. 200 where absent. */
  readonly firstMs?: number;
  /** The longest pause, in milliseconds; 5,000 where absent. */
  readonly mostMs?: number;
  readonly signal: AbortSignal;
  /** Whether an error is worth another try; {@link mayPass} where absent. */
  readonly worth?: (error: unknown) => boolean;
  readonly onFailure?: (error: unknown) => void;
}

/**
 * Makes a call until it succeeds, with pauses that grow. Rejects with the last error when that is not worth another
 * try or the tries are used up, and with the signal's reason when it aborts.
 */
export async function patiently<T>(patience: Patience, call: () => Promise<T>): Promise<T> {
  const {
    retries = Number.POSITIVE_INFINITY,
    firstMs = 200,
    mostMs = 5000,
    signal,
    worth = mayPass,
  } = patience;
  let last: unknown;
  const attempt = async () => {
    try {
      return await call();
    } catch (error) {
      last = error;
      throw new Error('The call failed.', { cause: error });
    }
  };
  const shouldRetry = () => worth(last);
  const onFailedAttempt = () => patience.onFailure?.(last);
  const pauses = { minTimeout: firstMs, maxTimeout: mostMs, factor: 2, randomize: true };
  try {
    return await pRetry(attempt, { ...pauses, retries, signal, shouldRetry, onFailedAttempt });
  } catch (error) {
    signal.throwIfAborted();
    throw last ?? error;
  }
}

/** How long a call of another service may take that sends and gets little, in milliseconds. */
const ANSWER_MS = 10_000;

/** Makes one call, and fails with `unavailable` where it is not answered within ten seconds. */
export async function answered<T>(service: string, signal: AbortSignal, call: Task<T>): Promise<T> {
  const late = () =>
    new PlatformError('unavailable', `${service} did not answer within ${ANSWER_MS / 1000} s.`);
  return await within(ANSWER_MS, signal, late, call);
}

/** True for what may go away by itself: an error whose code says so, or a connection that broke. */
export function mayPass(error: unknown): boolean {
  return isPlatformError(error) ? error.retry : error instanceof TypeError || hasSystemCode(error);
}

const CONNECTION = /^(?:E(?:CONN|PIPE|HOST|NET|TIMEDOUT|AI_)|UND_ERR_)/;

function hasSystemCode(error: unknown): boolean {
  return error instanceof Error && 'code' in error && CONNECTION.test(String(error.code));
}
