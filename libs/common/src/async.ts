/**
 * What `promise` brings, or the signal's reason as soon as it aborts. The promise itself is not stopped: whoever made
 * it sees to its end.
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
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

/** Waits `ms` milliseconds; rejects with the signal's reason as soon as it aborts. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const abort = () => reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** A task that stops when its signal aborts. */
export type Task<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Does work that is aborted, and fails with what `late` makes, when it takes longer than `ms` milliseconds. The work
 * has to heed its signal: it is waited for.
 */
export async function withTimeout<T>(
  ms: number,
  signal: AbortSignal,
  late: () => Error,
  work: Task<T>,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(late()), ms);
  try {
    return await work(AbortSignal.any([signal, timeout.signal]));
  } catch (error) {
    signal.throwIfAborted();
    timeout.signal.throwIfAborted();
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
export async function all<const T extends readonly Task<unknown>[]>(
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

/**
 * A web stream of the bytes that `source` yields, pulled as they are read: nothing is fetched ahead. Cancelling the
 * stream ends the source's iteration, so that its `finally` runs.
 */
export function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Lets one at a time hold a key, in the order in which they ask; keys that nobody holds cost nothing. */
export class KeyedLock {
  /** When the last of those who hold or wait for a key is done, by key. */
  readonly #tails = new Map<string, Promise<void>>();

  /** Resolves once nobody else in this process holds the key; it is held until the answer is disposed. */
  async hold(key: string): Promise<Disposable> {
    const before = this.#tails.get(key);
    const { promise: tail, resolve: release } = Promise.withResolvers<void>();
    this.#tails.set(key, tail);
    await before;
    return {
      [Symbol.dispose]: () => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
        release();
      },
    };
  }
}

/** How one of several that were done together ended: with its value, or with an error that is its own. */
export type Settled<T> = PromiseSettledResult<T>;

interface Gathered<I, O> {
  readonly item: I;
  readonly resolve: (value: O) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does many small things in few calls. The function that it returns resolves with what `work` says of its item. All
 * that is asked for while a round is under way makes up the next one, in the order of asking, and at most `most` at a
 * time; up to `rounds` (1 if absent) run at once. Nobody waits for company: the first item starts a round with those
 * that are asked for in the same turn.
 *
 * `work` answers one result for each item, in their order. An item's error is its own; where `work` throws, or answers
 * another number of results, all of its round fail with that error, and the next round goes on.
 */
export function gather<I, O>(
  work: (items: readonly I[]) => Promise<readonly Settled<O>[]>,
  { most, rounds = 1 }: { readonly most: number; readonly rounds?: number },
): (item: I) => Promise<O> {
  let waiting: Gathered<I, O>[] = [];
  let running = 0;

  async function take(): Promise<void> {
    await undefined;
    while (waiting.length > 0) {
      const round = waiting.slice(0, most);
      waiting = waiting.slice(most);
      await settle(work, round);
    }
    running -= 1;
  }

  return (item) => {
    const { promise, resolve, reject } = Promise.withResolvers<O>();
    waiting.push({ item, resolve, reject });
    if (running < rounds) {
      running += 1;
      void take();
    }
    return promise;
  };
}

async function settle<I, O>(
  work: (items: readonly I[]) => Promise<readonly Settled<O>[]>,
  round: readonly Gathered<I, O>[],
): Promise<void> {
  try {
    const results = await work(round.map(({ item }) => item));
    if (results.length !== round.length) {
      throw new Error(`Work on ${round.length} items answered ${results.length} results.`);
    }
    for (const [index, { resolve, reject }] of round.entries()) {
      const result = results[index];
      if (result?.status === 'fulfilled') resolve(result.value);
      else reject(result?.reason);
    }
  } catch (error) {
    for (const { reject } of round) reject(error);
  }
}
