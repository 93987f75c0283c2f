import { type Claim, isPlatformError, ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import pLimit from 'p-limit';

/** How many orders of each kind run at once. */
export type Slots = Readonly<Record<OrderKind, number>>;

/** What an {@link Intake} works with. */
export interface IntakeOptions {
  readonly slots: Slots;
  /** What goes on from an earlier process; started, in the slots of its kind, before anything is claimed. */
  readonly goOn?: (signal: AbortSignal) => Promise<Resumption>;
  readonly claim: (kinds: OrderKind[], signal: AbortSignal) => Promise<Claim | null>;
  /** Runs an order to its end; never rejects. `claimedAt` is when it was asked for, by the monotonic clock. */
  readonly run: (claim: Claim, claimedAt: number) => Promise<void>;
  /** Called when a kind of order has no room any more, and when it has some again. */
  readonly onRoom: (kind: OrderKind, room: boolean) => void;
  /** Called when another process has taken over this worker's id. */
  readonly onSuperseded: (error: unknown) => void;
  readonly pollMs: number;
  readonly log: Log;
}

/** What goes on, and when that was asked for, by the monotonic clock. */
export interface Resumption {
  readonly claims: readonly Claim[];
  readonly askedAt: number;
}

const NOTHING: Resumption = { claims: [], askedAt: 0 };

/**
 * Claims orders while there is room: at a wake-up, when an order has ended, and every few seconds anyway, since a
 * wake-up may never come.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #running = new Map<Promise<void>, OrderKind>();
  readonly #stop = new AbortController();
  readonly #loop: Loop;
  readonly #inTurn = pLimit(1);
  #begun: 'no' | 'yes' = 'no';

  constructor(options: IntakeOptions) {
    this.#options = options;
    // Workers that were started together should not ask together for ever.
    const everyMs = options.pollMs * (0.75 + Math.random() / 2);
    const work = async () => void (await this.#fill());
    this.#loop = startLoop({ name: 'claim orders', everyMs, maxPauseMs: everyMs, work, log: options.log });
  }

  /** How many orders run. */
  get running(): number {
    return this.#running.size;
  }

  /** Looks for orders now. */
  wake(): void {
    this.#loop.wake();
  }

  /** Resolves when nothing runs and nothing is due. */
  async settle(): Promise<void> {
    while ((await this.#fill()) > 0 || this.#running.size > 0) await Promise.all(this.#running.keys());
  }

  /** Claims no more; what runs goes on. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop[Symbol.asyncDispose]();
    await this.#inTurn(async () => undefined);
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.keys());
  }

  async #fill(): Promise<number> {
    return await this.#inTurn(async () => {
      await this.#begin();
      let claimed = 0;
      while (!this.#stop.signal.aborted && (await this.#claimOne())) claimed += 1;
      return claimed;
    });
  }

  async #begin(): Promise<void> {
    if (this.#begun === 'yes') return;
    try {
      const { claims, askedAt } = (await this.#options.goOn?.(this.#stop.signal)) ?? NOTHING;
      this.#begun = 'yes';
      for (const claim of claims) this.#start(claim, askedAt);
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  async #claimOne(): Promise<boolean> {
    const kinds = this.#kindsWithRoom();
    if (kinds.length === 0) return false;
    const askedAt = performance.now();
    try {
      const claim = await this.#options.claim(kinds, this.#stop.signal);
      if (claim !== null) this.#start(claim, askedAt);
      return claim !== null;
    } catch (error) {
      if (isPlatformError(error, 'stale_attempt')) this.#options.onSuperseded(error);
      if (this.#stop.signal.aborted || isPlatformError(error, 'stale_attempt')) return false;
      throw error;
    }
  }

  #start(claim: Claim, claimedAt: number): void {
    const { kind } = claim.spec;
    const running = this.#options.run(claim, claimedAt).finally(() => {
      this.#running.delete(running);
      this.#options.onRoom(kind, true);
      this.#loop.wake();
    });
    this.#running.set(running, kind);
    if (!this.#hasRoom(kind)) this.#options.onRoom(kind, false);
  }

  #kindsWithRoom(): OrderKind[] {
    return ORDER_KINDS.filter((kind) => this.#hasRoom(kind));
  }

  #hasRoom(kind: OrderKind): boolean {
    const running = [...this.#running.values()].filter((other) => other === kind).length;
    return running < this.#options.slots[kind];
  }
}
