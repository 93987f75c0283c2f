import { OrderFailure, PlatformError } from '@morpheo/common';
import { RunnerBroken } from './errors.ts';
import type { RunnerPlan, RunnerProtocol, RunnerView } from './index.ts';
import type { PendingCall } from './pending.ts';

/** So many starts in a row that fail are enough. */
const STARTS = 3;
/** Another runner is worth its start where the last call that waits would wait so long, in milliseconds. */
const WORTH_ANOTHER_MS = 250;
/** What the last call counts in the mean of how long they take. */
const SHARE = 0.2;

/** When a start has succeeded, for whoever wrote the program. */
const READY: Readonly<Record<RunnerProtocol, string>> = {
  runner:
    'A runner is ready when it asks for its first call (GET /next), and then goes on until it is ended.',
  zeromq: 'A model is ready when it listens at its port, and then goes on until it is ended.',
};

/** Why a runner did not start. */
export interface StartFault {
  /** As the end of a sentence that says that a start failed. */
  readonly message: string;
  readonly tail: readonly string[];
  readonly cause?: unknown;
}

/** The calls that wait for runners of one key, and how their starts went. */
export class Keyed {
  readonly key: string;
  #plan: RunnerPlan;
  #queue: PendingCall[] = [];
  #faults = 0;
  #last: StartFault | undefined;
  #meanMs: number | undefined;

  constructor(plan: RunnerPlan) {
    this.key = plan.key;
    this.#plan = plan;
  }

  /** The plan of the call that waits longest, by whose rights a runner is started; of the last one where none waits. */
  get plan(): RunnerPlan {
    return this.#queue[0]?.call.plan ?? this.#plan;
  }

  /** The call of that {@link plan}; undefined where none waits. */
  get asker(): PendingCall | undefined {
    return this.#queue[0];
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Since when its first call waits, by the monotonic clock. */
  get since(): number {
    return this.#queue[0]?.since ?? Number.POSITIVE_INFINITY;
  }

  /** Whether so many starts in a row have failed that there are no more. */
  get isBroken(): boolean {
    return this.#faults >= STARTS;
  }

  /** Whether anything is known of it that had better be remembered. */
  get isWorthKeeping(): boolean {
    return this.#queue.length > 0 || this.#faults > 0;
  }

  /** Lets a call wait, the last, or the first where it had its turn already. It leaves the queue where its caller ends it. */
  add(calls: readonly PendingCall[], { first = false }: { readonly first?: boolean } = {}): void {
    for (const pending of calls) {
      this.#plan = pending.call.plan;
      pending.onAbandoned = () => {
        this.#queue = this.#queue.filter((other) => other !== pending);
      };
    }
    const open = calls.filter(({ isOver }) => !isOver);
    this.#queue = first ? [...open, ...this.#queue] : [...this.#queue, ...open];
  }

  has(pending: PendingCall): boolean {
    return this.#queue.includes(pending);
  }

  /** The next calls for a runner with so much room, in their order; `isEmpty`: it has none now. */
  take(most: number, isEmpty: boolean): PendingCall[] {
    const [head] = this.#queue;
    if (head?.call.alone === true) return isEmpty && most > 0 ? this.#queue.splice(0, 1) : [];
    const before = this.#queue.findIndex(({ call }) => call.alone === true);
    return this.#queue.splice(0, Math.min(most, before < 0 ? most : before));
  }

  /** All calls that wait. */
  takeAll(): PendingCall[] {
    return this.#queue.splice(0);
  }

  /** Those whose time for waiting has passed while a runner was started for them. */
  takeOverdue(): PendingCall[] {
    const overdue = this.#queue.filter(({ isOverdue }) => isOverdue);
    this.#queue = this.#queue.filter(({ isOverdue }) => !isOverdue);
    return overdue;
  }

  /** Whether one more runner is worth its start, beside some that are busy. */
  isWorthAnother(runners: number): boolean {
    if (this.#queue.length < 2) return false;
    if (this.#meanMs === undefined) return performance.now() - this.since > WORTH_ANOTHER_MS;
    return (this.#queue.length * this.#meanMs) / runners > WORTH_ANOTHER_MS;
  }

  /** A runner had a call for so long. */
  ran(ms: number): void {
    this.#meanMs = this.#meanMs === undefined ? ms : this.#meanMs + SHARE * (ms - this.#meanMs);
  }

  /** A runner has started. */
  started(): void {
    this.forgive();
  }

  /** Starts are tried anew. */
  forgive(): void {
    this.#faults = 0;
    this.#last = undefined;
  }

  /**
   * A start has failed. Who planned it hears of it at once where it is their fault, and so does everybody where what it needs
   * has failed, which counts for nothing; else the calls go on waiting, for the next start.
   */
  startFailed(fault: StartFault): void {
    const { cause } = fault;
    this.#last = fault;
    const isOwn = cause === undefined || cause instanceof OrderFailure;
    if (isOwn) this.#faults += 1;
    if (cause !== undefined) for (const pending of this.takeAll()) pending.fail(cause);
    this.refuseIfBroken();
  }

  /** Fails what waits where nothing is started any more. */
  refuseIfBroken(): void {
    if (!this.isBroken) return;
    for (const pending of this.takeAll()) pending.fail(this.#broken());
  }

  /** What people are shown of it. */
  shown(): Pick<RunnerView, 'key' | 'shown' | 'protocol' | 'waiting' | 'memoryBytes' | 'gpus' | 'problem'> {
    const { shown, protocol, limits, gpus } = this.#plan;
    const problem = this.#last === undefined ? {} : { problem: this.#last.message };
    return {
      ...{ key: this.key, shown, protocol, gpus, waiting: this.#queue.length },
      memoryBytes: limits.memoryBytes,
      ...problem,
    };
  }

  #broken(): RunnerBroken {
    const { message = 'it failed', tail = [], cause } = this.#last ?? {};
    const { protocol } = this.#plan;
    const text = [
      `No runner is started for this any more: ${STARTS} starts in a row have failed, the last since ${message}.`,
      ...(cause === undefined ? [READY[protocol]] : []),
      `Correct the program, or have it tried again: morpheo runners retry ${this.key.slice(0, 8)}.`,
    ];
    return new RunnerBroken(text.join(' '), { tail, cause });
  }
}

/** What `call` throws where too many wait. */
export function tooMany(waiting: number): PlatformError {
  const message = `${waiting} calls wait for this runner already: try again when some of them have ended.`;
  return new PlatformError('rate_limited', message, { details: { retry_after: 1 } });
}
