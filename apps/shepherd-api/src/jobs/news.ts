import { sleep } from '@morpheo/common';

/** Lets those who wait for the end of a job in this process hear of it at once. */
export class News {
  readonly #followers = new Map<string, Set<() => void>>();

  /** Follows a job until it is disposed: what is told in between is not missed. */
  follow(job: string): Disposable & { next(ms: number, signal?: AbortSignal): Promise<void> } {
    let told = Promise.withResolvers<void>();
    const tell = () => told.resolve();
    const followers = this.#followers.get(job) ?? new Set();
    this.#followers.set(job, followers.add(tell));
    return {
      /** Resolves when something was told since the last time, and after `ms` milliseconds at the latest. */
      async next(ms, signal) {
        const over = new AbortController();
        const signals = signal === undefined ? [over.signal] : [over.signal, signal];
        try {
          await Promise.race([told.promise, sleep(ms, AbortSignal.any(signals))]);
        } finally {
          over.abort();
        }
        told = Promise.withResolvers();
      },
      [Symbol.dispose]: () => {
        followers.delete(tell);
        if (followers.size === 0 && this.#followers.get(job) === followers) this.#followers.delete(job);
      },
    };
  }

  /** Tells that something has happened to a job. */
  tell(job: string): void {
    for (const tell of this.#followers.get(job) ?? []) tell();
  }
}
