import { type Claim, ORDER_KINDS, type OrderKind, type Slots } from '@morpheo/common';
import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import pLimit from 'p-limit';
import type { Recovery } from './recovery.ts';
import type { Claimed, Registration, Room } from './registration.ts';
import type { RuntimeHealth } from './runtime-health.ts';
import type { WakeUps } from './wake-ups.ts';

/** What a {@link Poller} works with. */
export interface PollerOptions {
  readonly slots: Slots;
  readonly registration: Registration;
  /** Its attempts are started, in the slots of their kinds, before anything is claimed. */
  readonly recovery?: Recovery | undefined;
  /** Nothing is claimed while the runtime does not answer. */
  readonly runtime: RuntimeHealth;
  /** Runs an order to its end; never rejects. `claimedAt` is when it was asked for, by the monotonic clock. */
  readonly run: (claim: Claim, claimedAt: number) => Promise<void>;
  readonly pollMs: number;
  readonly log: Log;
}

/** How soon a worker asks that would hear of an order that became due, in milliseconds: one may wait until nothing else runs. */
const SOON_MS = 100;

const NOTHING: Claimed = { claims: [], more: false };

/**
 * Claims orders while there is room, all that it has room for at once: at a wake-up, when an order has ended that took the room of
 * others, soon after any other has, and every few seconds anyway, since a wake-up may never come. Wake-ups are asked for only while they lead to a claim: here they would be missed by
 * another worker.
 */
export class Poller {
  readonly #options: PollerOptions;
  readonly #running = new Map<Promise<void>, OrderKind>();
  readonly #stop = new AbortController();
  readonly #loop: Loop;
  readonly #inTurn = pLimit(1);
  #wakeUps: WakeUps | undefined;
  /** Whether the runtime could run anything when it was asked last. */
  #canRun = true;
  #recovery: 'due' | 'done' = 'due';
  /** Whether orders may be due that had no room here when it asked last. */
  #leftSome: boolean = true;
  #soon: NodeJS.Timeout | undefined;

  constructor(options: PollerOptions) {
    this.#options = options;
    // Workers that were started together should not ask together for ever.
    const everyMs = options.pollMs * (0.75 + Math.random() / 2);
    const work = async () => void (await this.#fill());
    this.#loop = startLoop({ name: 'claim orders', everyMs, maxPauseMs: everyMs, work, log: options.log });
  }

  /** Pauses and resumes these wake-ups from now on. */
  listenTo(wakeUps: WakeUps): void {
    this.#wakeUps = wakeUps;
    this.#leaveOthers();
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
    this.#leaveOthers();
    clearTimeout(this.#soon);
    await this.#loop[Symbol.asyncDispose]();
    await this.#inTurn(async () => undefined);
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.keys());
  }

  async #fill(): Promise<number> {
    return await this.#inTurn(async () => {
      let claimed = 0;
      try {
        await this.#recover();
        for (let more = true; more && !this.#stop.signal.aborted; ) {
          const answer = await this.#claim();
          claimed += answer.claims.length;
          ({ more } = answer);
        }
      } catch (error) {
        if (!this.#stop.signal.aborted) throw error;
      }
      return claimed;
    });
  }

  async #recover(): Promise<void> {
    const { recovery, registration } = this.#options;
    if (this.#recovery === 'done') return;
    const resumed = await recovery?.resumable(registration, this.#stop.signal);
    this.#recovery = 'done';
    for (const claim of resumed?.claims ?? []) this.#start(claim, resumed?.askedAt ?? 0);
  }

  async #claim(): Promise<Claimed> {
    const { runtime, registration } = this.#options;
    const { signal } = this.#stop;
    const room = this.#room();
    if (Object.keys(room).length === 0) return NOTHING;
    const askedAt = performance.now();
    const isWell = await runtime.isWell(signal);
    if (isWell !== this.#canRun) {
      this.#canRun = isWell;
      this.#leaveOthers();
    }
    this.#leftSome = true;
    const claimed = isWell ? await registration.claim(room, signal) : NOTHING;
    for (const claim of claimed.claims) this.#start(claim, askedAt);
    const isFull = ORDER_KINDS.some((kind) => (this.#options.slots[kind] ?? 0) > 0 && !this.#hasRoom(kind));
    this.#leftSome = !isWell || claimed.more || isFull;
    return claimed;
  }

  #start(claim: Claim, claimedAt: number): void {
    const { gpus, spec } = claim;
    const { kind } = spec;
    const running = this.#options.run(claim, claimedAt).finally(() => {
      this.#running.delete(running);
      this.#leaveOthers();
      if (this.#leftSome || gpus > 0 || this.#wakeUps === undefined) this.#loop.wake();
      else this.#wakeSoon();
    });
    this.#running.set(running, kind);
    this.#leaveOthers();
  }

  #wakeSoon(): void {
    if (this.#stop.signal.aborted) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#loop.wake();
    }, SOON_MS);
  }

  /** Hears of the orders that could run here, and leaves the messages of all others to other workers. */
  #leaveOthers(): void {
    for (const kind of ORDER_KINDS) {
      const canClaim = !this.#stop.signal.aborted && this.#canRun && this.#hasRoom(kind);
      if (canClaim) this.#wakeUps?.resume(kind);
      else this.#wakeUps?.pause(kind);
    }
  }

  #hasRoom(kind: OrderKind): boolean {
    return this.#room()[kind] !== undefined;
  }

  /** How many more orders of each kind could run; kinds without room are left out. */
  #room(): Room {
    const room: Room = {};
    for (const kind of ORDER_KINDS) {
      const running = [...this.#running.values()].filter((other) => other === kind).length;
      const places = (this.#options.slots[kind] ?? 0) - running;
      if (places > 0) room[kind] = places;
    }
    return room;
  }
}
