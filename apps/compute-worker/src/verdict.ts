import { type Failure, isPlatformError, OrderFailure, type Report } from '@morpheo/common';
import type { AttemptFeed } from './attempt-feed.ts';

/** Why an attempt is over before its work has ended: the reason of its signal. */
export class AttemptOver extends Error {
  override name = 'AttemptOver';
  /** `cancelled`, `stale`: it is not ours any more, nothing is reported. `released`: the worker stops. */
  readonly why: 'cancelled' | 'stale' | 'released';

  constructor(why: 'cancelled' | 'stale' | 'released') {
    super(`The attempt is over: ${why}.`);
    this.why = why;
  }
}

/**
 * What to report of work that threw, or null where nothing is to be reported. Once the attempt is over, whatever was
 * thrown is a consequence of that. What the order's code or inputs did ends the order; all else is ours.
 */
export function verdictOn(error: unknown, signal: AbortSignal, feed: AttemptFeed): Report | null {
  if (signal.aborted && signal.reason instanceof AttemptOver) {
    return signal.reason.why === 'released' ? { outcome: 'released' } : null;
  }
  if (error instanceof OrderFailure) return { outcome: 'failed', failure: completed(error.failure, feed) };
  return { outcome: 'error', failure: { ...ours(error, feed), step: feed.step } };
}

function completed(failure: Failure, feed: AttemptFeed): Failure {
  const step = failure.step ?? (failure.reason === 'build_failed' ? 'build' : feed.step);
  const tail = failure.log_tail ?? feed.tail(step);
  const shown = tail.length === 0 ? {} : { log_tail: tail };
  return { ...failure, message: failure.message.slice(0, 4000), step, ...shown };
}

/** A failure of ours tells what a person can do about it, and nothing of the worker's inside; its log has the rest. */
function ours(error: unknown, feed: AttemptFeed): Failure {
  if (isNoRoom(error)) return { reason: 'disk_full', message: 'The disk of the worker has no room.' };
  if (isPlatformError(error)) return { reason: 'internal', message: error.message.slice(0, 4000) };
  return { reason: 'internal', message: `The worker failed in the step ${feed.step}; its log says why.` };
}

function isNoRoom(error: unknown): boolean {
  if (isPlatformError(error, 'disk_full')) return true;
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
