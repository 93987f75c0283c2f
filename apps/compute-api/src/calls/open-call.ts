import {
  type CallAnswer,
  type CallDone,
  computeContract,
  ERRORS,
  type ErrorCode,
  type GivenCall,
  PlatformError,
} from '@morpheo/common';
import type { Station } from './station.ts';

/** A call as it is asked for: what a worker gets of it, and by what it is placed. */
export interface AskedCall {
  readonly given: Omit<GivenCall, 'call' | 'wait_ms' | 'run_ms'>;
  /** Whose it is, as it is kept. */
  readonly owner: string;
  /** What its worker has to offer. */
  readonly terms: readonly string[];
  /** What it takes up in memory, in bytes. */
  readonly bytes: number;
  /** How long it may wait until it runs, in milliseconds. */
  readonly waitMs: number;
  /** How long it may run, in milliseconds. */
  readonly runMs: number;
}

/** A call that is not answered yet. It is nowhere but in memory. */
export class OpenCall {
  readonly id: string;
  readonly asked: AskedCall;
  /** By a clock that is never set. */
  readonly arrivedAt: number;
  readonly answer: Promise<CallAnswer>;
  /** The worker that it was given to, and when. */
  place: { readonly station: Station; readonly at: number } | undefined;
  readonly #answered = Promise.withResolvers<CallAnswer>();

  constructor(id: string, asked: AskedCall, now: number) {
    this.id = id;
    this.asked = asked;
    this.arrivedAt = now;
    this.answer = this.#answered.promise;
    // Whoever waits for it hears of it; where nobody does any more, nobody needs to.
    this.answer.catch(() => undefined);
  }

  get key(): string {
    return this.asked.given.key;
  }

  /** When it has waited as long as it may. */
  get waitUntil(): number {
    return this.arrivedAt + this.asked.waitMs;
  }

  /** What a worker gets of it now. */
  givenAt(now: number): GivenCall {
    const { given, runMs } = this.asked;
    const wait_ms = Math.max(0, Math.round(this.waitUntil - now));
    return { call: this.id, ...given, wait_ms, run_ms: runMs };
  }

  /** Answers it with what its worker says of it. */
  settle(done: CallDone, now: number): void {
    if (done.outcome !== 'done') {
      this.fail(errorOf(done));
      return;
    }
    const { outcome, ms, ...answer } = done;
    const queued = (this.place?.at ?? now) - this.arrivedAt;
    this.#answered.resolve({ ...answer, ms: { ...ms, waited: ms.waited + Math.max(0, queued) } });
  }

  /** Answers it with an error. */
  fail(error: PlatformError): void {
    this.#answered.reject(error);
  }
}

/** What a call may be answered. */
const TOLD: readonly ErrorCode[] = computeContract.endpoints.postCall.errors;

const TOO_SLOW = {
  waiting: 'No runner was free in time: allow the call more time (wait_seconds), or try again later.',
  starting:
    'Its runner had not started in time. A runner has started when it asks for its first call (GET /next), one of Shepherd when it listens at its port. Allow the call more time (wait_seconds), or see in the log what the program does meanwhile.',
  running: 'It ran longer than it may: allow it more time (limits.wall_seconds), or make it faster.',
} as const;

/** The error of a call that has taken longer than it may. */
export function tooSlow(phase: keyof typeof TOO_SLOW, log?: string): PlatformError {
  return new PlatformError('deadline_passed', TOO_SLOW[phase], {
    confidential: true,
    details: { phase, ...(log === undefined ? {} : { log }) },
  });
}

/** The error of a call whose worker, or compute-api, is not there any more. */
export function lost(message: string): PlatformError {
  return new PlatformError('unavailable', message);
}

function errorOf(done: Exclude<CallDone, { outcome: 'done' }>): PlatformError {
  const log = done.log === undefined ? {} : { log: done.log };
  if (done.outcome === 'timed_out') return tooSlow(done.phase, done.log);
  if (done.outcome === 'failed') {
    const { message, type, traceback } = done;
    const program = {
      ...(type === undefined ? {} : { error_type: type }),
      ...(traceback === undefined ? {} : { traceback }),
    };
    return new PlatformError('call_failed', message, { confidential: true, details: { ...program, ...log } });
  }
  const told = done.outcome === 'ended' ? 'unavailable' : toldCode(done.code);
  return new PlatformError(told, done.message, { confidential: true, details: log });
}

/** What a caller could not have caused is a fault on our side, which another call may be spared: so of a ticket that is over. */
function toldCode(code: ErrorCode): ErrorCode {
  if (code === 'internal' || TOLD.includes(code)) return code;
  return ERRORS[code].retry || code === 'stale_attempt' ? 'unavailable' : 'internal';
}
