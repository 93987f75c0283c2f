import { EventEmitter, once } from 'node:events';

/** How long a follower waits at most before it looks by itself: another process may have written. */
const LOOK_AGAIN_MS = 1000;

/** Tells the followers of an order, in this process, that there may be news of it. */
export class Feed {
  readonly #news = new EventEmitter().setMaxListeners(0);

  /** There may be news of an order: its history or its log grew. */
  announce(order: string): void {
    this.#news.emit(order);
  }

  /**
   * Yields batch after batch of an order's entries, from after `from`, until the order has ended and nothing is left.
   * `next` returns the entries after a position, oldest first, and whether more may come. Ends quietly on abort.
   */
  async *follow<T>(
    order: string,
    from: number,
    next: (after: number) => Promise<{ entries: readonly T[]; position: number; ended: boolean }>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly T[]> {
    let position = from;
    while (signal?.aborted !== true) {
      using waiting = this.#wait(order, signal);
      const batch = await next(position);
      position = batch.position;
      if (batch.entries.length > 0) yield batch.entries;
      else if (batch.ended) return;
      else await waiting.news;
    }
  }

  /** Listens before the look, so that what is announced during it is not missed. */
  #wait(order: string, signal: AbortSignal | undefined): Disposable & { news: Promise<unknown> } {
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), LOOK_AGAIN_MS);
    const signals = signal === undefined ? [over.signal] : [over.signal, signal];
    const news = once(this.#news, order, { signal: AbortSignal.any(signals) }).catch(() => undefined);
    return {
      news,
      [Symbol.dispose]() {
        clearTimeout(timer);
        over.abort();
      },
    };
  }
}
