import { isPlatformError } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Held, LeaseTerms, Renewal } from './session.ts';

/** Why an attempt is not ours any more. */
export type Loss = Renewal['lost'][number]['reason'];

/** What a {@link LeaseKeeper} works with. */
export interface LeaseOptions {
  /** Renews all leases in one call. */
  readonly renew: (attempts: Held[], signal: AbortSignal) => Promise<Renewal>;
  /** Called when another process has taken over this worker's id. */
  readonly onSuperseded: (error: unknown) => void;
  readonly log: Log;
}

interface Lease extends Held {
  /** When the last renewal that succeeded was asked for, by the monotonic clock. */
  renewedAt: number;
  readonly lose: (why: Loss) => void;
}

/** After this share of a lease without a renewal the attempt is given up: before anybody else may take the order. */
const SHARE = 2 / 3;
const RETRY_MS = 1000;

/**
 * Keeps the leases of all attempts of a worker: one call renews them all, also where there are none, as a sign of
 * life. Attempts that are lost, or that could not be renewed in time, are told so.
 */
export class LeaseKeeper {
  readonly #options: LeaseOptions;
  readonly #leases = new Map<string, Lease>();
  readonly #stop = new AbortController();
  #leaseMs = 30_000;
  #renewMs = 10_000;
  #timer: NodeJS.Timeout | undefined;
  #passing: Promise<void> | undefined;
  #next: 'in time' | 'at once' = 'in time';
  #health: 'well' | 'failing' = 'well';

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Begins to renew, on the terms that compute-api gave. */
  start({ lease_ms, renew_ms }: LeaseTerms): void {
    this.#leaseMs = lease_ms;
    this.#renewMs = renew_ms;
    this.#schedule(renew_ms);
  }

  /** Keeps the lease of an attempt that was claimed at `claimedAt` (monotonic), until it is disposed. */
  hold(held: Held, claimedAt: number, lose: (why: Loss) => void): Disposable {
    const lease: Lease = { order: held.order, attempt: held.attempt, renewedAt: claimedAt, lose };
    this.#leases.set(keyOf(held), lease);
    return { [Symbol.dispose]: () => this.#leases.delete(keyOf(held)) };
  }

  /** Whether the last renewal was answered. */
  get isWell(): boolean {
    return this.#health === 'well';
  }

  /** Whether an attempt of this order is held. */
  holds(order: string): boolean {
    return [...this.#leases.values()].some((lease) => lease.order === order);
  }

  /** Renews at once; the way to learn fast that an order was cancelled. */
  renewNow(): void {
    if (this.#passing !== undefined) this.#next = 'at once';
    else this.#pass();
  }

  /** Renews no more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#passing;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => this.#pass(), ms);
  }

  #pass(): void {
    clearTimeout(this.#timer);
    this.#passing = this.#renewAll().then((renewed) => {
      this.#passing = undefined;
      const inTime = renewed ? this.#renewMs : Math.min(this.#renewMs, RETRY_MS);
      const pause = this.#next === 'at once' ? 0 : inTime;
      this.#next = 'in time';
      this.#schedule(pause);
    });
  }

  /** Never rejects; false where compute-api did not answer. */
  async #renewAll(): Promise<boolean> {
    const asked = [...this.#leases.values()];
    const askedAt = performance.now();
    const patience = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#leaseMs / 3)]);
    try {
      const attempts = asked.map(({ order, attempt }) => ({ order, attempt }));
      const renewal = await this.#options.renew(attempts, patience);
      this.#apply(renewal, askedAt);
      this.#health = 'well';
      return true;
    } catch (error) {
      if (isPlatformError(error, 'stale_attempt')) this.#options.onSuperseded(error);
      else if (!this.#stop.signal.aborted) this.#noteFailure(error);
      return false;
    } finally {
      this.#giveUpLate();
    }
  }

  #apply({ held, lost, lease_ms }: Renewal, askedAt: number): void {
    this.#leaseMs = lease_ms;
    for (const one of held) {
      const lease = this.#leases.get(keyOf(one));
      if (lease !== undefined) lease.renewedAt = askedAt;
    }
    for (const one of lost) this.#lose(one, one.reason);
  }

  #giveUpLate(): void {
    const now = performance.now();
    const late = [...this.#leases.values()].filter((lease) => now - lease.renewedAt > this.#leaseMs * SHARE);
    for (const lease of late) this.#lose(lease, 'stale');
  }

  #lose(held: Held, why: Loss): void {
    const lease = this.#leases.get(keyOf(held));
    if (lease === undefined) return;
    this.#leases.delete(keyOf(held));
    this.#options.log.warn(
      { order: held.order, attempt: held.attempt, why },
      'An attempt is not ours any more',
    );
    lease.lose(why);
  }

  #noteFailure(error: unknown): void {
    if (this.#health === 'well')
      this.#options.log.warn({ error }, 'The leases could not be renewed; it is tried again');
    this.#health = 'failing';
  }
}

function keyOf({ order, attempt }: Held): string {
  return `${order} ${attempt}`;
}
