import type { Log } from '@morpheo/service/log';
import type { Held, LeaseTerms, Registration, Renewal } from './registration.ts';

/** Why an attempt is not this worker's any more. */
export type LostReason = Renewal['lost'][number]['reason'];

interface Lease extends Held {
  /** When the last renewal that succeeded was asked for, by the monotonic clock. */
  renewedAt: number;
  readonly holder: Holder;
}

/** Who holds an attempt, as the lease calls back. */
export interface Holder {
  /** The attempt is not this worker's any more. */
  readonly onLost: (reason: LostReason) => void;
  /** A renewal brought another ticket. */
  readonly onTicket?: (ticket: string) => void;
}

/** After this share of a lease without a renewal an attempt is given up: before another worker may claim the order. */
export const GIVE_UP_SHARE = 2 / 3;
const RETRY_MS = 1000;

/**
 * Keeps the leases of all attempts of a worker: one call renews them all, also where there are none, as a sign of
 * life. Who holds an attempt that is lost, or that could not be renewed in time, is called back.
 */
export class Leases {
  readonly #registration: Pick<Registration, 'renew'>;
  readonly #log: Log;
  readonly #leases = new Map<string, Lease>();
  readonly #stop = new AbortController();
  #leaseMs = 30_000;
  #renewMs = 10_000;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #next: 'in time' | 'at once' = 'in time';
  #failing = false;

  /** `registration` renews all leases in one call. */
  constructor(registration: Pick<Registration, 'renew'>, log: Log) {
    this.#registration = registration;
    this.#log = log;
  }

  /** Begins to renew, on the terms that compute-api gave. */
  start({ lease_ms, renew_ms }: LeaseTerms): void {
    this.#leaseMs = lease_ms;
    this.#renewMs = renew_ms;
    this.#schedule(renew_ms);
  }

  /** Keeps the lease of an attempt that was claimed at `claimedAt` (monotonic), until it is disposed. */
  hold(held: Held, claimedAt: number, holder: Holder): Disposable {
    const lease: Lease = { order: held.order, attempt: held.attempt, renewedAt: claimedAt, holder };
    this.#leases.set(keyOf(held), lease);
    return { [Symbol.dispose]: () => this.#leases.delete(keyOf(held)) };
  }

  /** Whether the last renewal was answered. */
  get isWell(): boolean {
    return !this.#failing;
  }

  /** Whether an attempt of this order is held. */
  holds(order: string): boolean {
    return [...this.#leases.values()].some((lease) => lease.order === order);
  }

  /** Renews at once; the way to learn fast that an order was cancelled. */
  renewNow(): void {
    if (this.#renewing !== undefined) this.#next = 'at once';
    else this.#renew();
  }

  /** Renews no more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#renewing;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => this.#renew(), ms);
  }

  #renew(): void {
    clearTimeout(this.#timer);
    this.#renewing = this.#renewAll().then((renewed) => {
      this.#renewing = undefined;
      const inTime = renewed ? this.#renewMs : Math.min(this.#renewMs, RETRY_MS);
      const pause = this.#next === 'at once' ? 0 : inTime;
      this.#next = 'in time';
      this.#schedule(pause);
    });
  }

  /** Never rejects; false where compute-api did not answer. */
  async #renewAll(): Promise<boolean> {
    const attempts = [...this.#leases.values()].map(({ order, attempt }) => ({ order, attempt }));
    const askedAt = performance.now();
    const stop = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#leaseMs / 3)]);
    try {
      this.#apply(await this.#registration.renew(attempts, stop), askedAt);
      this.#failing = false;
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      if (!this.#failing) this.#log.warn({ error }, 'The leases could not be renewed; it is tried again');
      this.#failing = true;
      return false;
    } finally {
      this.#expireOverdue();
    }
  }

  #apply({ held, lost, lease_ms }: Renewal, askedAt: number): void {
    this.#leaseMs = lease_ms;
    for (const one of held) {
      const lease = this.#leases.get(keyOf(one));
      if (lease === undefined) continue;
      lease.renewedAt = askedAt;
      if (one.ticket !== undefined) lease.holder.onTicket?.(one.ticket);
    }
    for (const one of lost) this.#lose(one, one.reason);
  }

  #expireOverdue(): void {
    const now = performance.now();
    for (const lease of [...this.#leases.values()])
      if (now - lease.renewedAt > this.#leaseMs * GIVE_UP_SHARE) this.#lose(lease, 'stale');
  }

  #lose({ order, attempt }: Held, reason: LostReason): void {
    const lease = this.#leases.get(keyOf({ order, attempt }));
    if (lease === undefined) return;
    this.#leases.delete(keyOf(lease));
    this.#log.warn({ order, attempt, reason }, 'The lease of an attempt is lost');
    lease.holder.onLost(reason);
  }
}

function keyOf({ order, attempt }: Held): string {
  return `${order} ${attempt}`;
}
