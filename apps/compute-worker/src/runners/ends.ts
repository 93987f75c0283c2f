import { isPlatformError, PlatformError } from '@morpheo/common';
import type { RunResult } from '../runtime/index.ts';
import { formatDuration } from '../steps/format.ts';
import { CallFailed, CallTimedOut, ProtocolFault, RunnerBroken, RunnerEnded } from './errors.ts';
import type { StartFault } from './keyed.ts';
import type { CallOutcome, RunnerLimits } from './settings.ts';

/** Why a runner ended. */
export type RunnerEnd =
  /** Its program ended, or said what it may not. */
  | { readonly kind: 'program'; readonly why: RunResult | ProtocolFault }
  /** It was not ready in time. */
  | { readonly kind: 'slow_start' }
  /** The worker ended it: nobody needed it, or it had served its time, or what it did with a call. */
  | { readonly kind: 'ended'; readonly reason: string }
  /** What it needs to run has failed. */
  | { readonly kind: 'failed'; readonly error: unknown };

/** What a call throws that its runner had when it ended. */
export function endError(
  end: RunnerEnd,
  { alone, tail }: Pick<RunnerEnded, 'alone' | 'tail'>,
): RunnerEnded | PlatformError {
  if (end.kind === 'failed')
    return isPlatformError(end.error)
      ? end.error
      : new PlatformError('internal', 'A runner failed.', { cause: end.error });
  if (end.kind !== 'program')
    return new PlatformError('unavailable', 'The runner was ended before it had answered.');
  const { why } = end;
  const message =
    why instanceof ProtocolFault ? why.message : 'The runner ended before it had answered the call.';
  return new RunnerEnded(message, { why, phase: 'running', alone, tail });
}

/** What calls that wait are told when their worker stops. */
export function stopped(): PlatformError {
  return new PlatformError('unavailable', 'The worker stops.');
}

/** Why a runner ended, as the end of a sentence. */
export function explain(end: RunnerEnd, { startMs }: RunnerLimits): Omit<StartFault, 'tail'> {
  switch (end.kind) {
    case 'ended':
      return { message: end.reason };
    case 'slow_start':
      return { message: `it had not asked for a call after ${formatDuration(startMs)}` };
    case 'failed':
      return {
        message: end.error instanceof Error ? end.error.message : String(end.error),
        cause: end.error,
      };
    case 'program':
      return { message: end.why instanceof ProtocolFault ? end.why.message : explainResult(end.why) };
  }
}

function explainResult({ ended, exitCode, notStarted }: RunResult): string {
  if (notStarted !== undefined) return `it could not be started: ${notStarted}`;
  if (ended === 'exited') return `it ended with exit code ${exitCode}`;
  return `it passed a limit (${ended})`;
}

/** What a call that threw counts as. */
export function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof CallFailed) return 'failed';
  if (error instanceof RunnerEnded) return 'ended';
  if (error instanceof CallTimedOut) return 'timed_out';
  if (error instanceof RunnerBroken) return 'broken';
  return isPlatformError(error, 'rate_limited', 'invalid_order') ? 'refused' : 'error';
}
