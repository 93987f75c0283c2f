import { setTimeout as pause } from 'node:timers/promises';
import type { OnScrape } from './metrics.ts';

/** How long a scrape waits for figures, in milliseconds. */
const WAIT_MS = 2000;

/** Asks for figures, at most as often as it is told, and once at a time however many ask. */
export class Refresher {
  readonly #what: OnScrape;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(what: OnScrape) {
    this.#what = what;
  }

  /** Resolves when the figures are fresh enough, or cannot be had in time. Never rejects. */
  async refresh(): Promise<void> {
    const now = performance.now();
    if (this.#asking === undefined) {
      if (now - this.#askedAt < this.#what.everyMs) return;
      this.#askedAt = now;
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
      });
    }
    await this.#within(this.#asking);
  }

  async #ask(): Promise<void> {
    try {
      await this.#what.refresh();
    } catch {
      this.#forget();
    }
  }

  async #within(asking: Promise<void>): Promise<void> {
    const answered = new AbortController();
    const late = pause(WAIT_MS, 'late', { signal: answered.signal }).catch(() => undefined);
    if ((await Promise.race([asking, late])) === 'late') this.#forget();
    answered.abort();
  }

  /** What is away is told by a figure of its own; old figures would be lies. */
  #forget(): void {
    for (const gauge of this.#what.stale ?? []) gauge.clear();
  }
}
