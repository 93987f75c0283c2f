import { randomBytes } from 'node:crypto';
import {
  type CallAnswer,
  type CallDone,
  type CallExchange,
  type CallsExchanged,
  PlatformError,
} from '@morpheo/common';
import { type AskedCall, lost, OpenCall, tooSlow } from './open-call.ts';
import { tooMany, WaitingCalls } from './queue.ts';
import type { CallSettings } from './settings.ts';
import { type CallNeeds, Station, type StationIdentity } from './station.ts';

/** What a desk tells other compute-apis of, and asks them for. */
export interface Peers {
  /** Calls wait here which no worker takes that asks here. */
  announce(): void;
  /** A station has calls of other desks, or room for some: `done` has ended, of these. */
  tell(station: Station, done: readonly CallDone[]): void;
  /** A call that a station has which asks elsewhere is to stop. */
  stop(call: string): void;
  /** Whether a call is of a desk that is known, or may yet be. */
  knows(call: string, now: number): boolean;
}

/** So much longer than it may take altogether a worker has to say that a call has taken too long, in milliseconds. */
const LAST_WORD_MS = 10_000;

/** What a {@link CallDesk} works with. */
export interface DeskParts {
  readonly settings: CallSettings;
  /** Says, of a call that nobody takes at once, why nobody ever could; undefined where somebody may. */
  readonly refusal: (asked: AskedCall) => Promise<PlatformError | undefined>;
  /** By a clock that is never set, in milliseconds. */
  readonly clock?: () => number;
}

/**
 * Where calls and workers meet, in memory alone: calls wait here until a worker asks that can take them, and callers until
 * theirs has ended. What is told between the two may come twice, late, or never: each call is told until its worker says
 * that it has it, and each end until somebody has answered.
 */
export class CallDesk {
  /** The beginning of the ids of its calls, and of those of no other desk. */
  readonly id: string = randomBytes(6).toString('hex');
  /** By worker. */
  readonly stations = new Map<string, Station>();
  peers: Peers | undefined;
  readonly #parts: DeskParts;
  readonly #clock: () => number;
  readonly #open = new Map<string, OpenCall>();
  readonly #waiting: WaitingCalls;
  /** Runs while there is something to look at. */
  #sweeping: NodeJS.Timeout | undefined;
  #bytes = 0;
  #stopped: boolean = false;

  constructor(parts: DeskParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? (() => performance.now());
    this.#waiting = new WaitingCalls(parts.settings);
  }

  /** How many calls wait, and how many workers have. */
  counts(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#waiting.size, running: this.#open.size - this.#waiting.size };
  }

  /**
   * Has a call answered. Throws what it was answered in place of outputs; `rate_limited` where too many wait, `unavailable`
   * where nobody can run it, its worker is gone, or this desk stops, `deadline_passed` where it has taken too long, and the
   * reason of the signal, with which it ends at the worker too.
   */
  async call(asked: AskedCall, signal?: AbortSignal): Promise<CallAnswer> {
    signal?.throwIfAborted();
    if (this.#stopped) throw stopping();
    if (this.#bytes + asked.bytes > this.#parts.settings.bytes)
      throw tooMany('The calls that are open have as many bytes as they may');
    const call = new OpenCall(`${this.id}-${randomBytes(10).toString('hex')}`, asked, this.#clock());
    this.#waiting.add(call);
    this.#open.set(call.id, call);
    this.#keepSweeping();
    this.#bytes += asked.bytes;
    const giveUp = () => this.#end(call, signal?.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      this.#dispatch(call.key);
      if (call.place === undefined) void this.#seek(call);
      return await call.answer;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /** A worker tells of itself and hears of calls; see `exchangeCalls` of the contract. */
  async exchange(
    identity: StationIdentity,
    body: CallExchange,
    signal?: AbortSignal,
  ): Promise<CallsExchanged> {
    if (this.#stopped) throw stopping();
    const station = this.#stationOf(identity);
    const now = this.#clock();
    this.#take(station, body.done);
    if (body.seq <= station.seq) return NOTHING;
    this.#renew(station, body, now);
    // Whoever asks anew has given up the answer to what it asked before.
    station.poll?.wake();
    return await this.#answer(station, body.wait_ms, signal);
  }

  /** Another desk tells of a worker that asks there: what it says of room counts where the worker does not ask here too. */
  async relayed(identity: StationIdentity, body: CallExchange): Promise<CallsExchanged> {
    if (this.#stopped) throw stopping();
    const station = this.#stationOf(identity);
    this.#take(station, body.done);
    if (station.poll !== undefined || body.seq < station.seq) {
      const now = this.#clock();
      return { ...NOTHING, cancelled: body.holds.filter((id) => this.#isOver(id, now)) };
    }
    this.#renew(station, body, this.#clock());
    return await this.#answer(station, 0, undefined);
  }

  /** Has broken runners of a key started again, at every worker that asks here. */
  retry(key: string): void {
    for (const station of this.stations.values()) {
      station.retry.add(key);
      station.poll?.wake();
    }
  }

  /** Tells the stations that have a call of another desk that it is to stop. */
  stop(id: string): void {
    for (const station of this.stations.values()) {
      if (!station.holds.has(id) && !station.entrusted.has(id)) continue;
      station.entrusted.delete(id);
      station.cancelled.add(id);
      station.poll?.wake();
    }
  }

  /** Ends what has taken too long, or whose worker is gone, and looks once more for who may take what waits. */
  sweep(): void {
    const now = this.#clock();
    for (const call of this.#open.values()) {
      const { place, waitUntil, asked } = call;
      if (place === undefined && now >= waitUntil) this.#end(call, tooSlow('waiting'));
      if (place !== undefined && now >= waitUntil + asked.runMs + LAST_WORD_MS)
        this.#end(call, tooSlow('running'));
    }
    for (const station of this.stations.values())
      if (station.poll === undefined && now >= station.quietUntil)
        this.#drop(station, 'is not heard of any more');
    for (const key of this.#waiting.keys()) this.#dispatch(key);
    if (this.#waiting.size > 0) this.peers?.announce();
    for (const station of this.stations.values()) this.peers?.tell(station, []);
    if (this.#open.size > 0 || this.stations.size > 0) return;
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
  }

  /** Takes no more calls, ends those that are open, and lets go of all who ask. */
  close(): void {
    this.#stopped = true;
    clearInterval(this.#sweeping);
    for (const call of this.#open.values()) this.#end(call, stopping());
    for (const station of this.stations.values()) station.poll?.wake();
  }

  #keepSweeping(): void {
    this.#sweeping ??= setInterval(() => this.sweep(), this.#parts.settings.everyMs);
  }

  #stationOf(identity: StationIdentity): Station {
    const known = this.stations.get(identity.worker);
    if (known?.boot === identity.boot) {
      known.offers = new Set(identity.offers);
      known.demands = identity.demands;
      known.gpus = identity.gpus;
      return known;
    }
    if (known !== undefined) this.#drop(known, 'was started again');
    const station = new Station(identity);
    this.stations.set(identity.worker, station);
    this.#keepSweeping();
    return station;
  }

  #renew(station: Station, body: CallExchange, now: number): void {
    station.quietUntil = now + this.#parts.settings.silentMs;
    for (const id of station.renew(body, now)) {
      const call = this.#open.get(id);
      if (call?.place?.station === station) this.#end(call, lost('Its worker has lost it: call again.'));
      station.entrusted.delete(id);
    }
  }

  /** Calls that have ended at a worker: of this desk, or to be told to others. */
  #take(station: Station, done: readonly CallDone[]): void {
    const others: CallDone[] = [];
    for (const one of done) {
      station.entrusted.delete(one.call);
      const call = this.#open.get(one.call);
      if (call?.place?.station === station) {
        call.settle(one, this.#clock());
        this.#forget(call);
      } else if (!this.#isOwn(one.call)) others.push(one);
    }
    if (others.length > 0) this.peers?.tell(station, others);
  }

  async #answer(station: Station, waitMs: number, signal: AbortSignal | undefined): Promise<CallsExchanged> {
    const woken = Promise.withResolvers<void>();
    const poll = { wake: () => woken.resolve() };
    station.poll = poll;
    for (const key of this.#waiting.keys()) this.#dispatch(key);
    this.peers?.tell(station, []);
    let answer = this.#tellNow(station);
    if (answer === undefined && waitMs > 0 && !isAborted(signal)) {
      const timer = setTimeout(poll.wake, waitMs);
      const gone = () => poll.wake();
      signal?.addEventListener('abort', gone, { once: true });
      await woken.promise;
      clearTimeout(timer);
      signal?.removeEventListener('abort', gone);
      // What another exchange has taken over is told there.
      if (station.poll === poll && !isAborted(signal)) answer = this.#tellNow(station);
    }
    if (station.poll === poll) {
      station.poll = undefined;
      const { silentMs, goneMs } = this.#parts.settings;
      station.quietUntil = this.#clock() + (isAborted(signal) ? goneMs : silentMs);
    }
    signal?.throwIfAborted();
    return answer ?? NOTHING;
  }

  /** What there is to tell a station; undefined where that is nothing. */
  #tellNow(station: Station): CallsExchanged | undefined {
    const now = this.#clock();
    const over = [...station.holds].filter((id) => this.#isOver(id, now));
    const answer = {
      calls: station.untold(now),
      cancelled: station.toStop([...over, ...station.cancelled], now),
      retry: [...station.retry],
    };
    station.retry.clear();
    const isEmpty = Object.values(answer).every((some) => some.length === 0);
    return isEmpty ? undefined : answer;
  }

  #isOwn(id: string): boolean {
    return id.startsWith(`${this.id}-`);
  }

  /** Whether nobody waits for a call any more. */
  #isOver(id: string, now: number): boolean {
    return this.#isOwn(id) ? !this.#open.has(id) : this.peers?.knows(id, now) !== true;
  }

  /** Gives calls of a key to workers that ask, as long as there is one for the next of them. */
  #dispatch(key: string): void {
    for (let call = this.#waiting.next(key); call !== undefined; call = this.#waiting.next(key)) {
      const station = this.#stationFor(call);
      if (station === undefined) return;
      const one = call;
      this.#waiting.remove(one);
      one.place = { station, at: this.#clock() };
      station.entrust(one.id, { key, toGive: (now) => one.givenAt(now) });
    }
  }

  /** The best worker for a call: one with a free runner for it, else the one with the most room. */
  #stationFor({ key, asked, arrivedAt }: OpenCall): Station | undefined {
    const needed = needsOf(asked);
    const able = [...this.stations.values()].flatMap((station) => {
      const how = station.poll === undefined ? undefined : station.couldTake(key, needed);
      return how === undefined ? [] : [{ station, how }];
    });
    const warm = able.find(({ how }) => how === 'warm');
    if (warm !== undefined) return warm.station;
    // A runner that answers others now may be free in a moment, long before another has started.
    const isThere = this.stations.values().some((station) => station.knows(key));
    if (isThere && this.#clock() < arrivedAt + this.#parts.settings.patienceMs) return undefined;
    const cold = able.filter(({ how }) => how === 'cold');
    if (cold.length > 0) return cold.toSorted((a, b) => b.station.room - a.station.room)[0]?.station;
    // Another one may have room for it later.
    const mayFit = [...this.stations.values()].some(
      (station) => station.isAble(needed) && station.isLargeEnough(needed),
    );
    return mayFit ? undefined : able[0]?.station;
  }

  /** Looks for somebody else to take a call, and ends it where nobody could. */
  async #seek(call: OpenCall): Promise<void> {
    this.peers?.announce();
    const needed = needsOf(call.asked);
    if (this.stations.values().some((station) => station.isAble(needed))) return;
    try {
      const refusal = await this.#parts.refusal(call.asked);
      if (refusal !== undefined && call.place === undefined) this.#end(call, refusal);
    } catch {
      // Whether somebody could is not known: it waits as long as it may.
    }
  }

  #drop(station: Station, why: string): void {
    this.stations.delete(station.worker);
    station.poll?.wake();
    for (const id of station.entrusted.keys()) {
      const call = this.#open.get(id);
      if (call?.place?.station === station)
        this.#end(call, lost(`The worker that had the call ${why}: call again.`));
    }
  }

  /** Ends a call without an answer of its worker, which is told to stop it. */
  #end(call: OpenCall, reason: unknown): void {
    call.fail(
      reason instanceof PlatformError ? reason : new PlatformError('cancelled', 'The caller gave up.'),
    );
    this.#forget(call);
    const { place } = call;
    if (place === undefined) return;
    const { station } = place;
    station.entrusted.delete(call.id);
    station.cancelled.add(call.id);
    station.poll?.wake();
    this.peers?.stop(call.id);
  }

  #forget(call: OpenCall): void {
    if (!this.#open.delete(call.id)) return;
    this.#waiting.remove(call);
    this.#bytes -= call.asked.bytes;
  }
}

const NOTHING: CallsExchanged = { calls: [], cancelled: [], retry: [] };

function needsOf({ terms, given }: AskedCall): CallNeeds {
  return { terms, gpus: given.gpus, memoryBytes: given.spec.limits?.memory_bytes ?? 0 };
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted ?? false;
}

function stopping(): PlatformError {
  return new PlatformError('unavailable', 'This service is stopping; try again in a moment.');
}
