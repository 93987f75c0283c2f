import { abortable } from '@morpheo/common';

interface Running<T> {
  readonly promise: Promise<T>;
  readonly owner: AbortSignal;
}

/**
 * Work that several want at the same time and that is done once. The first to ask does it, as its own and under its
 * own signal; the others wait and get the same result or the same error. Should the first give up, the next in line
 * does the work anew. Nothing is remembered once the work has ended.
 *
 * `isOwn` tells the errors that concern whoever did the work and nobody else: the next in line does it anew then, too.
 */
export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();
  readonly #isOwn: (error: unknown) => boolean;

  constructor(isOwn: (error: unknown) => boolean = () => false) {
    this.#isOwn = isOwn;
  }

  /** Does `work`, or waits for that of the same key under way. `signal` ends the wait with its reason. */
  async run(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (;;) {
      const running = this.#running.get(key);
      if (running === undefined) return await this.#own(key, signal, work);
      try {
        return await abortable(running.promise, signal);
      } catch (error) {
        if (signal.aborted || !(running.owner.aborted || this.#isOwn(error))) throw error;
      }
    }
  }

  async #own(key: string, owner: AbortSignal, work: () => Promise<T>): Promise<T> {
    const promise = work().finally(() => this.#running.delete(key));
    promise.catch(() => undefined);
    this.#running.set(key, { promise, owner });
    return await promise;
  }
}
