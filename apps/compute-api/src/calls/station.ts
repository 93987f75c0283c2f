import type { CallExchange, GivenCall } from '@morpheo/common';

/** A process of a worker, as its exchanges tell of it. */
export interface StationIdentity {
  readonly worker: string;
  readonly boot: string;
  /** What it offers, as terms. */
  readonly offers: readonly string[];
  /** Those of these that calls have to need before they go there. */
  readonly demands: readonly string[];
  /** How many GPUs it has. */
  readonly gpus: number;
}

/** A call that a station has, or is to take. */
export interface Entrusted {
  readonly key: string;
  readonly toGive: (now: number) => GivenCall;
  /** When it was told of it last; undefined where it is to be told. */
  sentAt: number | undefined;
  /** Whether it has said that it has it. */
  heard: boolean;
  /** Since when it says so no more; how the call has ended may come by way of another compute-api. */
  missingSince: number | undefined;
}

/** What a call needs of the worker that runs it. */
export interface CallNeeds {
  readonly terms: readonly string[];
  readonly gpus: number;
  /** That its runner is to have, in bytes; 0 where it does not say, and gets what the worker gives. */
  readonly memoryBytes: number;
}

/** The open exchange of a station; `wake` has it answered in the next turn. */
export interface Poll {
  readonly wake: () => void;
}

/** After so long without having said that it has it, a station is told of a call once more. */
const TELL_AGAIN_MS = 1000;
/** After so long a call that it had and has no more counts as lost. */
const LOST_AFTER_MS = 10_000;

/** What is known of a worker's process: its room, and the calls that it has. */
export class Station {
  readonly worker: string;
  readonly boot: string;
  offers: ReadonlySet<string>;
  demands: readonly string[];
  gpus: number;
  seq = -1;
  /** Until when it may be silent. */
  quietUntil = 0;
  room = 0;
  /** What another runner could have of its memory and GPUs; undefined where it does not say. */
  limits: CallExchange['limits'];
  /** For how many more calls it has runners, or starts them, by key. */
  ready = new Map<string, number>();
  /** The calls that it says it has. */
  holds: ReadonlySet<string> = new Set();
  readonly entrusted = new Map<string, Entrusted>();
  /** What it is to stop, though this compute-api knows no more of it. */
  readonly cancelled = new Set<string>();
  readonly retry = new Set<string>();
  poll: Poll | undefined;
  readonly #toldCancelled = new Map<string, number>();

  constructor({ worker, boot, offers, demands, gpus }: StationIdentity) {
    this.worker = worker;
    this.boot = boot;
    this.offers = new Set(offers);
    this.demands = demands;
    this.gpus = gpus;
  }

  /**
   * Takes over what it says of itself. Returns the ids of calls that it had, and has had no more for a while, without having
   * said how they ended.
   */
  renew({ seq, room, limits, ready, holds }: CallExchange, now: number): string[] {
    this.seq = seq;
    this.room = room;
    this.limits = limits;
    this.ready = new Map(ready.map((one) => [one.key, one.room]));
    this.holds = new Set(holds);
    const dropped: string[] = [];
    for (const [id, call] of this.entrusted) {
      if (this.holds.has(id)) {
        call.heard = true;
        call.missingSince = undefined;
      } else if (call.heard) {
        call.missingSince ??= now;
        if (now - call.missingSince > LOST_AFTER_MS) dropped.push(id);
      } else {
        // It did not know of this one when it told of its room.
        this.#use(call.key);
        if (call.sentAt !== undefined && now - call.sentAt > TELL_AGAIN_MS) call.sentAt = undefined;
      }
    }
    for (const id of this.#toldCancelled.keys()) if (!this.holds.has(id)) this.#toldCancelled.delete(id);
    for (const id of this.cancelled)
      if (!this.holds.has(id) && !this.entrusted.has(id)) this.cancelled.delete(id);
    return dropped;
  }

  /** Whether it has a runner for a key, free or not. */
  knows(key: string): boolean {
    return this.ready.has(key);
  }

  /** Whether it offers what a call needs, which needs all that it is dedicated to, whatever room it has. */
  isAble({ terms, gpus }: CallNeeds): boolean {
    if (!this.demands.every((term) => terms.includes(term))) return false;
    return gpus <= this.gpus && terms.every((term) => this.offers.has(term));
  }

  /** Whether it could have a runner as large as a call needs where it had no other. */
  isLargeEnough({ memoryBytes }: CallNeeds): boolean {
    return this.limits === undefined || memoryBytes <= this.limits.most_memory_bytes;
  }

  /**
   * Whether it could take a call now: with a runner that it has, by starting one, or not. `refusing`: it would refuse the
   * call with a sentence, since such a runner is too large for it.
   */
  couldTake(key: string, needed: CallNeeds): 'warm' | 'cold' | 'refusing' | undefined {
    if (!this.isAble(needed)) return undefined;
    if ((this.ready.get(key) ?? 0) > 0) return 'warm';
    if (this.room === 0) return undefined;
    if (!this.isLargeEnough(needed)) return 'refusing';
    const { memory_bytes, gpus } = this.limits ?? { memory_bytes: needed.memoryBytes, gpus: needed.gpus };
    return needed.memoryBytes <= memory_bytes && needed.gpus <= gpus ? 'cold' : undefined;
  }

  /** Gives it a call, which it is told of in its next answer. */
  entrust(id: string, call: Pick<Entrusted, 'key' | 'toGive'>): void {
    this.entrusted.set(id, { ...call, sentAt: undefined, heard: false, missingSince: undefined });
    this.#use(call.key);
    this.poll?.wake();
  }

  /** The calls that it is to be told of now. */
  untold(now: number): GivenCall[] {
    return [...this.entrusted.values()]
      .filter(({ sentAt }) => sentAt === undefined)
      .map((call) => {
        call.sentAt = now;
        return call.toGive(now);
      });
  }

  /** Of the calls that it is to stop, those that it was not told of a moment ago. */
  toStop(ids: Iterable<string>, now: number): string[] {
    return [...new Set(ids)].filter((id) => {
      const told = this.#toldCancelled.get(id);
      if (told !== undefined && now - told < TELL_AGAIN_MS) return false;
      this.#toldCancelled.set(id, now);
      return true;
    });
  }

  #use(key: string): void {
    const warm = this.ready.get(key) ?? 0;
    if (warm === 0) this.room = Math.max(0, this.room - 1);
    // Also where one is only being started: more calls of the key do not need one each.
    this.ready.set(key, Math.max(0, warm - 1));
  }
}
