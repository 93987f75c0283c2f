import { setTimeout as delay } from 'node:timers/promises';

/**
 * What `promise` brings, or the signal's reason as soon as it aborts. The promise itself is not stopped: whoever
 * made it sees to its end.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => undefined);
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Waits `ms` milliseconds; rejects with the signal's reason when it aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** A task that stops when its signal aborts. */
export type Task<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Does work that is aborted, and fails with what `late` makes, when it takes longer than `ms` milliseconds. The work
 * has to heed its signal: it is waited for.
 */
export async function within<T>(
  ms: number,
  signal: AbortSignal,
  late: () => Error,
  work: Task<T>,
): Promise<T> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(late()), ms);
  try {
    return await work(AbortSignal.any([signal, patience.signal]));
  } catch (error) {
    signal.throwIfAborted();
    patience.signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

type Results<T extends readonly Task<unknown>[]> = { -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> };

/**
 * Runs tasks side by side and resolves with their results in order. The first that fails aborts the others, with its
 * error as the reason; that error is thrown once all of them have stopped, so that nothing goes on unseen.
 */
export async function together<const T extends readonly Task<unknown>[]>(
  signal: AbortSignal,
  tasks: T,
): Promise<Results<T>> {
  const siblings = new AbortController();
  const both = AbortSignal.any([signal, siblings.signal]);
  const running = tasks.map(async (task) => {
    try {
      return await task(both);
    } catch (error) {
      siblings.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(running);
  signal.throwIfAborted();
  siblings.signal.throwIfAborted();
  return (await Promise.all(running)) as Results<T>;
}
