import {
  type Failure,
  failureOf,
  isPlatformError,
  OrderFailure,
  type OrderResult,
  type Report,
} from '@morpheo/common';
import { fullDiskOf } from '../files/disk-full.ts';
import type { AttemptEvents } from './events.ts';

/** Why an attempt is over before its work has ended: the reason of its signal. */
export class AttemptAborted extends Error {
  override name = 'AttemptAborted';
  /** `cancelled`, `stale`: the order is no longer this worker's, nothing is reported. `released`: the worker stops. */
  readonly reason: 'cancelled' | 'stale' | 'released';

  constructor(reason: 'cancelled' | 'stale' | 'released') {
    super(`The attempt is over: ${reason}.`);
    this.reason = reason;
  }
}

/** Whether nobody but this worker has to do with the attempt: it goes on, or is to be given back. */
export function isOwn(over: AbortSignal): boolean {
  return !over.aborted || (over.reason instanceof AttemptAborted && over.reason.reason === 'released');
}

/** A failure of the order's own after which a result is staged all the same. */
export class FailureWithResult extends OrderFailure {
  readonly result: OrderResult;

  constructor({ end, failure, cause }: OrderFailure, result: OrderResult) {
    super(end, failure, cause);
    this.result = result;
  }
}

/**
 * What to report of work that threw, or null where nothing is to be reported. Once the attempt is over, whatever was
 * thrown is a consequence of that. What the order's code or inputs did ends the order; all else is the platform's
 * failure, and may be tried again.
 */
export function reportOf(error: unknown, signal: AbortSignal, events: AttemptEvents): Report | null {
  if (signal.aborted && signal.reason instanceof AttemptAborted) {
    return signal.reason.reason === 'released' ? { outcome: 'released' } : null;
  }
  if (error instanceof OrderFailure) {
    const result = error instanceof FailureWithResult ? { result: error.result } : {};
    return { outcome: 'failed', failure: orderFailure(error.failure, events), ...result };
  }
  return { outcome: 'error', failure: { ...platformFailure(error, events), step: events.step } };
}

function orderFailure(failure: Failure, events: AttemptEvents): Failure {
  const step = failure.step ?? (failure.reason === 'build_failed' ? 'build' : events.step);
  const tail = failure.log_tail ?? events.tail(step);
  const shown = tail.length === 0 ? {} : { log_tail: tail };
  return { ...failure, message: failure.message.slice(0, 4000), step, ...shown };
}

/** Says what a person can do about it, and nothing of the worker's inside; its log has the rest. */
function platformFailure(error: unknown, events: AttemptEvents): Failure {
  const disk = fullDiskOf(error);
  const end = disk === undefined ? 'platform_failed' : (`${disk}_disk_full` as const);
  if (isPlatformError(error)) return failureOf(end, { message: withoutPlaces(error.message).slice(0, 4000) });
  const message =
    disk === undefined
      ? `The worker failed in the step ${events.step}; its log says why.`
      : 'The disk of the worker has no room.';
  return failureOf(end, { message });
}

/** An address, by its scheme or by its numbers; and a path of two names or more, with what closes a sentence kept. */
const ADDRESS = /\b[a-z]+:\/\/[^\s,;)"']*[^\s,;:.)"']|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/gi;
const PATH = /(?<![\w.<])\/[^\s/,;:)"']+(?:\/[^\s/,;:)"']*[^\s/,;:.)"'])+/g;

/** A message for whoever sent the order: where things are on the platform's machines is for its operators' logs. */
function withoutPlaces(message: string): string {
  return message.replaceAll(ADDRESS, '(an address)').replaceAll(PATH, '(a path)');
}
