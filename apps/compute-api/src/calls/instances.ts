import {
  type Api,
  bytesOfDone,
  type CallDone,
  type CallsExchanged,
  type ComputeContract,
  MOST_IN_CALL,
} from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { Log } from '@morpheo/service/log';
import { z } from 'zod';
import type { CallDesk, Peers } from './desk.ts';
import type { CallSettings } from './settings.ts';
import type { Station } from './station.ts';

/** What is notified about calls between the compute-apis on one database: never what is in one. */
export const CALLS_CHANNEL = 'calls';

const note = z.union([
  /** A desk, where it is reached, and how many calls wait there; `hello`: the others are to say who they are, too. */
  z.object({ desk: z.string(), url: z.string(), waiting: z.int(), hello: z.boolean().optional() }),
  /** The id of a call that is to stop. */
  z.object({ stop: z.string() }),
  /** The key of runners that are to be started again. */
  z.object({ retry: z.string() }),
]);

/** A text that is notified; see {@link CALLS_CHANNEL}. */
export function noteText(said: z.infer<typeof note>): string {
  return JSON.stringify(said);
}

/** Calls `retry` where a text says that runners are to be started again, with their key. */
export function retriesIn(text: string, retry: (key: string) => void): void {
  const said = note.parse(JSON.parse(text));
  if ('retry' in said) retry(said.retry);
}

/** The call from one compute-api to another. */
export type Relay = Pick<Api<ComputeContract>, 'relayCalls'>;

/** Reaches a compute-api at an address. */
export type ReachInstance = (url: string) => Relay;

/** A desk of another compute-api. */
interface Other {
  readonly url: string;
  readonly relay: Relay;
  /** Whether calls wait there, as far as is known. */
  isWaiting: boolean;
  /** Since when it has not answered. */
  silentSince: number | undefined;
}

/** What is under way between a station and another desk. */
interface Line {
  readonly done: Map<string, CallDone>;
  readonly since: number;
  isBusy: boolean;
  /** When it was told of last. */
  toldAt: number;
  /** What was asked for while it was busy. */
  isAskedAgain: boolean;
}

/** A worker whose calls are of another desk is told of there this often at least, in milliseconds. */
const SIGN_OF_LIFE_MS = 2000;
/** Desks say at most this often that calls wait. */
const ANNOUNCE_EVERY_MS = 5;
/** How long one call to another compute-api may take. */
const RELAY_MS = 5000;
/** One such call tells of so many calls that have ended, and of so many bytes where these are several. */
const MOST_TOLD = { calls: 1000, bytes: MOST_IN_CALL.exchangeBytes / 2 };
/** For so long a call is kept whose desk nobody knows here: it may be one that has just begun. */
const STRANGER_MS = 10_000;
const MOST_STRANGERS = 10_000;

/** What {@link Instances} work with. */
export interface InstanceParts {
  readonly desk: CallDesk;
  readonly database: Pick<Database<unknown>, 'notify' | 'listen'>;
  readonly settings: CallSettings & { readonly advertiseUrl: string };
  readonly reach: ReachInstance;
  readonly log: Log;
}

/**
 * The other compute-apis on the database. Where a worker asks here and calls wait there, it is told of there in its place:
 * this compute-api fetches its calls, and brings back how they end.
 */
export class Instances implements Peers, Disposable {
  readonly #parts: InstanceParts;
  readonly #listening: Disposable;
  readonly #others = new Map<string, Other>();
  readonly #lines = new WeakMap<Station, Map<string, Line>>();
  readonly #strangers = new Map<string, number>();
  readonly #stop = new AbortController();
  #announcedAt = Number.NEGATIVE_INFINITY;
  #announcing: NodeJS.Timeout | undefined;

  constructor(parts: InstanceParts) {
    this.#parts = parts;
    this.#listening = parts.database.listen(
      CALLS_CHANNEL,
      (text) => this.#hear(text),
      () => this.#introduce(true),
    );
    this.#introduce(true);
  }

  announce(): void {
    this.#announcing ??= setTimeout(
      () => {
        this.#announcing = undefined;
        this.#announcedAt = performance.now();
        const { waiting } = this.#parts.desk.counts();
        if (waiting > 0) this.#introduce(false, waiting);
      },
      Math.max(0, this.#announcedAt + ANNOUNCE_EVERY_MS - performance.now()),
    );
  }

  stop(call: string): void {
    this.#parts.database.notify(CALLS_CHANNEL, noteText({ stop: call }));
  }

  knows(call: string, now: number): boolean {
    if (this.#others.has(deskOf(call))) return true;
    const since = this.#strangers.get(call) ?? now;
    this.#strangers.set(call, since);
    const [oldest] = this.#strangers.keys();
    if (this.#strangers.size > MOST_STRANGERS && oldest !== undefined) this.#strangers.delete(oldest);
    if (since === now) this.#introduce(true);
    if (now - since < STRANGER_MS) return true;
    this.#strangers.delete(call);
    return false;
  }

  tell(station: Station, done: readonly CallDone[]): void {
    // Of a desk that nobody knows here yet as well: it may have begun, and given the call, a moment ago.
    for (const one of done) this.#lineOf(station, deskOf(one.call)).done.set(one.call, one);
    if (done.some(({ call }) => !this.#others.has(deskOf(call)))) this.#introduce(true);
    this.#forgetStrangers(station);
    const theirs = new Set([...station.holds, ...station.entrusted.keys()].map(deskOf));
    for (const [id, other] of this.#others) {
      const line = this.#lines.get(station)?.get(id);
      const isDue = performance.now() - (line?.toldAt ?? Number.NEGATIVE_INFINITY) > SIGN_OF_LIFE_MS;
      const hasEnded = (line?.done.size ?? 0) > 0;
      if (hasEnded || (other.isWaiting && roomOf(station) > 0) || (theirs.has(id) && isDue))
        void this.#relay(station, id, other);
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    clearTimeout(this.#announcing);
    this.#listening[Symbol.dispose]();
  }

  #introduce(hello: boolean, waiting = 0): void {
    const { desk, database, settings } = this.#parts;
    const said = { desk: desk.id, url: settings.advertiseUrl, waiting };
    database.notify(CALLS_CHANNEL, noteText(hello ? { ...said, hello } : said));
  }

  #hear(text: string): void {
    const { desk, reach } = this.#parts;
    const said = note.parse(JSON.parse(text));
    if ('stop' in said) desk.stop(said.stop);
    if (!('desk' in said) || said.desk === desk.id) return;
    const known = this.#others.get(said.desk);
    const other = known ?? {
      ...{ url: said.url, relay: reach(said.url) },
      ...{ isWaiting: false, silentSince: undefined },
    };
    this.#others.set(said.desk, other);
    if (said.hello === true) this.#introduce(false, desk.counts().waiting);
    if (said.waiting > 0) other.isWaiting = true;
    else if (known !== undefined) return;
    for (const station of desk.stations.values()) this.tell(station, []);
  }

  #forgetStrangers(station: Station): void {
    const lines = this.#lines.get(station) ?? new Map<string, Line>();
    for (const [desk, { since }] of lines)
      if (!this.#others.has(desk) && performance.now() - since > STRANGER_MS) lines.delete(desk);
  }

  #lineOf(station: Station, desk: string): Line {
    const lines = this.#lines.get(station) ?? new Map<string, Line>();
    this.#lines.set(station, lines);
    const line = lines.get(desk) ?? {
      ...{ done: new Map<string, CallDone>(), since: performance.now(), isBusy: false },
      ...{ toldAt: Number.NEGATIVE_INFINITY, isAskedAgain: false },
    };
    lines.set(desk, line);
    return line;
  }

  /** Tells a desk of a station, and the station of what it answers; again, where there was more meanwhile. */
  async #relay(station: Station, id: string, other: Other): Promise<void> {
    const line = this.#lineOf(station, id);
    line.isAskedAgain = true;
    if (line.isBusy) return;
    line.isBusy = true;
    try {
      while (line.isAskedAgain && !this.#stop.signal.aborted) {
        line.isAskedAgain = false;
        await this.#relayOnce(station, id, other, line);
      }
      other.silentSince = undefined;
    } catch (error) {
      this.#failed(id, other, error);
    } finally {
      line.isBusy = false;
    }
  }

  async #relayOnce(station: Station, id: string, other: Other, line: Line): Promise<void> {
    const { worker, boot, seq, offers, demands, gpus } = station;
    const mayTake = station.poll !== undefined;
    const room = roomOf(station);
    const told = someOf(line.done.values());
    const isTheirs = (call: string) => deskOf(call) === id && !line.done.has(call);
    line.toldAt = performance.now();
    const body = {
      ...{ worker, boot, seq: Math.max(0, seq), offers: [...offers], demands: [...demands], gpus },
      room: mayTake ? station.room : 0,
      limits: station.limits,
      ready: mayTake ? [...station.ready].map(([key, free]) => ({ key, room: free })) : [],
      holds: [...new Set([...station.holds, ...station.entrusted.keys()])].filter(isTheirs),
      ...{ done: told, wait_ms: 0 },
    };
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(RELAY_MS)]);
    const answer = await other.relay.relayCalls({ body }, { signal });
    for (const one of told) line.done.delete(one.call);
    if (line.done.size > 0) line.isAskedAgain = true;
    // It says so again where there is more than this one could take.
    if (room > 0 && answer.calls.length < room) other.isWaiting = false;
    carry(station, answer);
  }

  #failed(id: string, other: Other, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    const now = performance.now();
    other.silentSince ??= now;
    const { log, desk, settings } = this.#parts;
    if (now - other.silentSince < settings.silentMs) return;
    log.warn({ url: other.url, error }, 'Another compute-api does not answer: its calls are given up');
    this.#others.delete(id);
    for (const station of desk.stations.values()) {
      this.#lines.get(station)?.delete(id);
      for (const call of [...station.holds, ...station.entrusted.keys()])
        if (deskOf(call) === id) desk.stop(call);
    }
  }
}

/** As many of the first as one call may tell of. */
function someOf(all: Iterable<CallDone>): CallDone[] {
  const some: CallDone[] = [];
  let bytes = 0;
  for (const done of all) {
    bytes += bytesOfDone(done);
    if (some.length > 0 && (some.length >= MOST_TOLD.calls || bytes > MOST_TOLD.bytes)) break;
    some.push(done);
  }
  return some;
}

/** For how many calls a station that asks now has room, by what it says: with runners that it has, and others. */
function roomOf({ poll, room, ready }: Station): number {
  return poll === undefined ? 0 : ready.values().reduce((sum, free) => sum + free, room);
}

/** Hands a station the calls that another desk has for it. */
function carry(station: Station, { calls, cancelled, retry }: CallsExchanged): void {
  for (const given of calls) {
    if (station.holds.has(given.call) || station.entrusted.has(given.call)) continue;
    const since = performance.now();
    const toGive = (now: number) => ({
      ...given,
      wait_ms: Math.max(0, Math.round(given.wait_ms - (now - since))),
    });
    station.entrust(given.call, { key: given.key, toGive });
  }
  for (const call of cancelled) {
    station.entrusted.delete(call);
    station.cancelled.add(call);
  }
  for (const key of retry) station.retry.add(key);
  if (cancelled.length > 0 || retry.length > 0) station.poll?.wake();
}

/** The desk that a call is of, by the beginning of its id. */
function deskOf(call: string): string {
  return call.slice(0, call.indexOf('-'));
}
