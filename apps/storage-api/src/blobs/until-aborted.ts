import { abortable } from '@morpheo/common';

/**
 * Hands on what `source` yields until `signal` aborts: then it throws the signal's reason at once, even while the
 * source is waiting for bytes that never come. The source is asked to stop, yet not waited for.
 */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal?: AbortSignal): AsyncGenerator<T> {
  if (signal === undefined) return yield* source;
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await abortable(iterator.next(), signal);
      ended = next.done === true;
      if (next.done) return;
      yield next.value;
    }
  } finally {
    if (!ended) iterator.return?.().then(undefined, () => {});
  }
}
