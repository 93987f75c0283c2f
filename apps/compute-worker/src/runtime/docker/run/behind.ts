import type { Log } from '@morpheo/service/log';

/** So much waits to be removed at most: a daemon that is slow at that slows down the runs, and is not buried. */
const MOST = 8;

/**
 * Removes what runs leave in a daemon, behind the runs: a run that ended does not wait for that. Nothing of a run goes on
 * when it is handed over.
 */
export class Behind {
  readonly #log: Log;
  readonly #removals = new Set<Promise<void>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Does work that needs `what`, and returns its result; `what` is disposed of behind that, and before where the work
   * fails. Waits while there is too much to be removed already.
   */
  async after<T>(what: AsyncDisposableStack, work: () => Promise<T>): Promise<T> {
    await using needed = what;
    const result = await work();
    while (this.#removals.size >= MOST) await Promise.race(this.#removals);
    this.#add(needed.move());
    return result;
  }

  /** Resolves when nothing waits to be removed. */
  async done(): Promise<void> {
    while (this.#removals.size > 0) await Promise.all(this.#removals);
  }

  #add(what: AsyncDisposableStack): void {
    const removal: Promise<void> = what
      .disposeAsync()
      .catch((error: unknown) => this.#log.warn({ error }, 'What a run had left could not be removed yet'))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }
}
