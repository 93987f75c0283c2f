import { sleep } from '@morpheo/common';
import type { Standing } from './status.ts';

/** Lets those who wait for the end of a job in this process hear of it at once. */
export class News {
  readonly #followers = new Map<string, Set<(standing: Standing | undefined) => void>>();

  /** Follows a job until it is disposed: what is told in between is not missed. */
  follow(
    job: string,
  ): Disposable & { next(ms: number, signal?: AbortSignal): Promise<Standing | undefined> } {
    let told = Promise.withResolvers<Standing | undefined>();
    const tell = (standing: Standing | undefined) => told.resolve(standing);
    const followers = this.#followers.get(job) ?? new Set();
    this.#followers.set(job, followers.add(tell));
    return {
      /** Resolves to what was told since the last time; to nothing after `ms` milliseconds, and where somebody should look. */
      async next(ms, signal) {
        const over = new AbortController();
        const signals = signal === undefined ? [over.signal] : [over.signal, signal];
        try {
          const late = sleep(ms, AbortSignal.any(signals)).then(() => undefined);
          return await Promise.race([told.promise, late]);
        } finally {
          over.abort();
          told = Promise.withResolvers();
        }
      },
      [Symbol.dispose]: () => {
        followers.delete(tell);
        if (followers.size === 0 && this.#followers.get(job) === followers) this.#followers.delete(job);
      },
    };
  }

  /** Tells how a job stands now, or that somebody should look where that is not known. */
  tell(job: string, standing: Standing | undefined): void {
    for (const tell of this.#followers.get(job) ?? []) tell(standing);
  }
}
