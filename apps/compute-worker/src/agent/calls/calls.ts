import {
  bytesOfDone,
  type CallDone,
  type CallsExchanged,
  delayMs,
  type GivenCall,
  isPlatformError,
  MOST_IN_CALL,
  PlatformError,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Runners, RunnerView } from '../../runners/index.ts';
import type { CallNews } from '../registration.ts';
import { readyOf, reportsOf } from './runner-reports.ts';

/** What {@link Calls} are made with. */
export interface CallsOptions {
  /** Tells compute-api, and brings its answer, which that may keep back for as long as it was let. */
  readonly exchange: (news: CallNews, signal: AbortSignal) => Promise<CallsExchanged>;
  /** Has a call answered, and tells how it ended; never rejects. Nobody waits for that once `over` has aborted. */
  readonly run: (given: GivenCall, over: AbortSignal) => Promise<CallDone>;
  readonly runners: Pick<Runners, 'list' | 'room' | 'retry' | 'onChange'>;
  /** The keys of plans of runners by those of calls, as far as they are known. */
  readonly planKeys: () => Iterable<readonly [call: string, plan: string]>;
  readonly log: Log;
}

/** A call that is this worker's now. */
interface HeldCall {
  readonly over: AbortController;
  readonly running: Promise<void>;
  /** How it has ended. */
  done?: CallDone;
  /** Whether an exchange that is under way tells of that. */
  isTold?: boolean;
}

/** How long compute-api may keep an answer back, in milliseconds. */
const HELD_BACK_MS = 25_000;
/**
 * How long the next exchange waits when one has brought calls, in milliseconds: what is answered in that time is told with
 * it, so that such a call takes one exchange.
 */
const LINGER_MS = 4;
/** The least pause between exchanges that have nothing to tell, in milliseconds. */
const PAUSE_MS = 100;
/** How often compute-api is told how runners are doing, at the most, in milliseconds. */
const REPORT_MS = 1000;
/** The pauses while compute-api does not answer. */
const RETRIES = { firstMs: 200, mostMs: 5000, jitter: 0.5 };
/** How long a worker that closes waits until compute-api has heard of it, in milliseconds. */
const LAST_MS = 2000;
/** So many ids of calls are remembered, for one may come again. */
const MOST_REMEMBERED = 10_000;
/** An exchange tells of so many ended calls, and of so many bytes where these are several. */
const MOST_TOLD = { calls: 1000, bytes: MOST_IN_CALL.exchangeBytes / 2 };

/**
 * The worker's side of calls without orders. It keeps an exchange with compute-api open, runs what that brings, and tells how
 * it ended with the next. Nothing of a call outlives the worker, nor the compute-api that has its caller.
 */
export class Calls {
  readonly #options: CallsOptions;
  readonly #calls = new Map<string, HeldCall>();
  readonly #had = new Set<string>();
  readonly #closing = new AbortController();
  readonly #watch: Disposable;
  readonly #drained = Promise.withResolvers<void>();
  /** How many exchanges are under way: one, and for a moment a newer one that makes compute-api answer it. */
  #open = 0;
  #seq = 0;
  #failures = 0;
  #state: 'working' | 'draining' | 'closed' = 'working';
  /** What compute-api was told last of what it may send, and of the runners. */
  #told: Told = NOTHING_TOLD;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = 0;
  #due: NodeJS.Immediate | undefined;

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#watch = options.runners.onChange(() => this.#after(PAUSE_MS));
    this.#tell();
  }

  /** Takes no more calls. Resolves when those under way have ended and compute-api was told, or when this is closed. */
  async drain(): Promise<void> {
    if (this.#state === 'working') this.#state = 'draining';
    this.#tell();
    await this.#drained.promise;
  }

  /** Ends the calls under way; their callers are told where compute-api answers soon. Doing it twice is harmless. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#watch[Symbol.dispose]();
    const stopped = new PlatformError(
      'unavailable',
      'The worker that ran this call was stopped: make it again.',
    );
    const held = [...this.#calls.values()];
    for (const { over } of held) over.abort(stopped);
    await Promise.all(held.map(async ({ running }) => await running));
    if (held.length > 0) await this.#exchange(AbortSignal.timeout(LAST_MS)).catch(() => undefined);
    this.#closing.abort(stopped);
    this.#drained.resolve();
  }

  /** Has an exchange in some time, unless there is one before, or none is needed then. */
  #after(ms: number): void {
    const at = performance.now() + ms;
    if (this.#state === 'closed' || (this.#timer !== undefined && this.#timerAt <= at)) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#open === 0 || this.#hasNews()) this.#tell();
      else this.#reportLater();
    }, ms);
  }

  /** Sees that how runners are doing is told, though nothing else is. */
  #reportLater(): void {
    if (this.#told.figures !== figuresText(this.#options.runners.list())) this.#after(REPORT_MS);
  }

  /** Has an exchange as soon as all that has ended by now is known. */
  #soon(): void {
    this.#due ??= setImmediate(() => {
      this.#due = undefined;
      if (this.#hasNews()) this.#tell();
    });
  }

  /** Has an exchange now; with two under way, when one of them was answered. */
  #tell(): void {
    if (this.#state === 'closed' || this.#open >= 2) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#open += 1;
    const startedAt = performance.now();
    this.#exchange(this.#closing.signal).then(
      (brought) => {
        this.#open -= 1;
        this.#failures = 0;
        const wasQuick = performance.now() - startedAt < PAUSE_MS;
        this.#goOn(brought > 0 ? LINGER_MS : wasQuick ? PAUSE_MS : 0, true);
      },
      (error: unknown) => {
        this.#open -= 1;
        this.#failures += 1;
        if (this.#failures === 1 && !this.#closing.signal.aborted)
          this.#options.log.warn(
            { error },
            'compute-api exchanges no calls with this worker; it is tried again',
          );
        this.#goOn(delayMs(this.#failures, RETRIES), false);
      },
    );
    this.#reportLater();
  }

  #goOn(pauseMs: number, wasAnswered: boolean): void {
    const isLast = this.#state === 'draining' && this.#calls.size === 0 && this.#open === 0;
    if (isLast && (!wasAnswered || this.#told.offer === NO_OFFER)) this.#drained.resolve();
    else if (wasAnswered && this.#hasNews()) this.#tell();
    else if (!wasAnswered || this.#open === 0) this.#after(pauseMs);
  }

  /** Has one exchange; how many calls it brought. Rejects where compute-api did not answer it. */
  async #exchange(signal: AbortSignal): Promise<number> {
    const before = this.#told;
    const ended = this.#toTell();
    const news = this.#newsOf(ended);
    for (const call of ended.values()) call.isTold = true;
    try {
      const answer = await this.#options.exchange(news, signal);
      for (const id of ended.keys()) this.#calls.delete(id);
      return this.#take(answer);
    } catch (error) {
      for (const call of ended.values()) call.isTold = false;
      this.#told = { ...NOTHING_TOLD, offer: before.offer };
      throw error;
    }
  }

  #take({ calls, cancelled, retry }: CallsExchanged): number {
    for (const id of cancelled)
      this.#calls.get(id)?.over.abort(new PlatformError('cancelled', 'Nobody waits for the call any more.'));
    for (const key of retry) this.#options.runners.retry(key);
    // Nobody would end what begins now, nor tell of it.
    if (this.#state === 'closed') return 0;
    const news = calls.filter(({ call }) => !this.#had.has(call));
    for (const given of news) this.#start(given);
    return news.length;
  }

  #start(given: GivenCall): void {
    const { call: id } = given;
    this.#had.add(id);
    const [oldest] = this.#had;
    if (this.#had.size > MOST_REMEMBERED && oldest !== undefined) this.#had.delete(oldest);
    const over = new AbortController();
    const running = this.#options.run(given, over.signal).then((done) => {
      const isWanted = !isPlatformError(over.signal.reason, 'cancelled');
      if (isWanted) held.done = done;
      else this.#calls.delete(id);
      this.#soon();
    });
    const held: HeldCall = { over, running };
    this.#calls.set(id, held);
  }

  /** The calls that have ended, as many as one exchange may tell of. */
  #toTell(): ReadonlyMap<string, HeldCall> {
    const ended = new Map<string, HeldCall>();
    let bytes = 0;
    for (const [id, call] of this.#calls) {
      if (call.done === undefined || call.isTold === true) continue;
      bytes += bytesOfDone(call.done);
      if (ended.size > 0 && (ended.size >= MOST_TOLD.calls || bytes > MOST_TOLD.bytes)) break;
      ended.set(id, call);
    }
    return ended;
  }

  #newsOf(ended: ReadonlyMap<string, HeldCall>): CallNews {
    const isWaiting =
      this.#state === 'working' || this.#calls.values().some(({ done }) => done === undefined);
    const { views, room, limits, ready } = this.#offer();
    const [offer, runners] = [offerText(room, ready), runnersText(views)];
    const isReported = runners !== this.#told.runners || this.#isReportDue();
    const { figures, at } = this.#told;
    this.#told = isReported
      ? { offer, runners, figures: figuresText(views), at: performance.now() }
      : { offer, runners, figures, at };
    return {
      seq: this.#seq++,
      ...{ room, limits, ready },
      holds: [...this.#calls.keys()].filter((id) => !ended.has(id)),
      done: [...ended.values()].flatMap(({ done }) => done ?? []),
      ...(isReported ? { runners: reportsOf(views) } : {}),
      wait_ms: isWaiting ? HELD_BACK_MS : 0,
    };
  }

  #offer() {
    const { runners, planKeys } = this.#options;
    const views = runners.list();
    const {
      runners: room,
      memoryBytes: memory_bytes,
      gpus,
      mostMemoryBytes: most_memory_bytes,
    } = runners.room();
    const limits = { memory_bytes, gpus, most_memory_bytes };
    if (this.#state !== 'working') return { views, room: 0, limits, ready: [] };
    return { views, room, limits, ready: readyOf(views, planKeys()) };
  }

  #hasNews(): boolean {
    for (const { done, isTold } of this.#calls.values())
      if (done !== undefined && isTold !== true) return true;
    const { views, room, ready } = this.#offer();
    if (this.#told.offer !== offerText(room, ready) || this.#told.runners !== runnersText(views)) return true;
    return this.#isReportDue() && this.#told.figures !== figuresText(views);
  }

  #isReportDue(): boolean {
    return performance.now() - this.#told.at >= REPORT_MS;
  }
}

/** What compute-api was told, as texts to compare. */
interface Told {
  /** Where it may send calls. */
  readonly offer: string;
  /** Which runners there are. */
  readonly runners: string;
  /** How they are doing. */
  readonly figures: string;
  /** When it was told of that, by the monotonic clock. */
  readonly at: number;
}

function offerText(room: number, ready: CallNews['ready']): string {
  return [room > 0 ? 'room' : 'none', ...ready.map(({ key }) => key)].join(' ');
}

/** How many calls each has is left out: that changes with every call. */
function runnersText(views: readonly RunnerView[]): string {
  return views.map(({ key, id, state }) => [key, id, state === 'busy' ? 'idle' : state].join(' ')).join(',');
}

function figuresText(views: readonly RunnerView[]): string {
  return views.map(({ id, state, calls, waiting }) => [id, state, calls, waiting].join(' ')).join(',');
}

const NO_OFFER = offerText(0, []);
const NOTHING_TOLD: Told = { offer: NO_OFFER, runners: '', figures: '', at: Number.NEGATIVE_INFINITY };
