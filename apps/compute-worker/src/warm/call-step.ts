import { isPlatformError } from '@morpheo/common';
import { span } from '@morpheo/service/trace';
import type { AttemptEvents } from '../attempt/events.ts';
import { type RoomWatch, watchRoom } from '../files/disk-full.ts';
import { CallFailed, CallTimedOut, ProtocolFault, RunnerBroken, RunnerEnded } from '../runners/errors.ts';
import type { RunnerCall, Runners } from '../runners/index.ts';
import type { RunLimits } from '../runtime/index.ts';
import { formatDuration } from '../steps/format.ts';
import { endOfStep, refuseIfKilled, refuseOnFullDisk, type StepEnd } from '../steps/run-step.ts';
import { StepFailure, type StepOutcome } from '../steps/step-events.ts';

/** The steps that a warm runner may do. */
export type CallStep = 'predict' | 'job';

/** A step that is a call in a warm runner. */
export interface CallRequest<T> extends Pick<RunnerCall<T>, 'plan' | 'fill' | 'take'> {
  readonly step: CallStep;
}

/** What {@link callStep} works with. */
export interface CallStepOptions {
  readonly runners: Runners;
  readonly events: Pick<AttemptEvents, 'log' | 'output' | 'tail'>;
  /** A folder on the disk that runners write to. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/**
 * Has a step done by a warm runner. Where the runner ends while other calls are in it, whose doing it was cannot be told: the
 * call is made once more, alone. Throws {@link StepFailure} for what its program did, as a run of a container does; errors of
 * the platform pass through.
 */
export async function callStep<T>(
  request: CallRequest<T>,
  options: CallStepOptions,
): Promise<{ readonly value: T; readonly outcome: StepOutcome }> {
  const { step } = request;
  return await span(`call ${step}`, {}, async (about) => {
    using room = watchRoom(options.folder);
    const { value, outcome } = await callOnce(request, options, false).catch(async (error: unknown) => {
      if (!isShared(error)) throw await judged(error, request, options, room);
      options.events.log(
        step,
        `${step}: its runner ended while it had other calls too; it is called again, alone`,
      );
      return await callOnce(request, options, true).catch(async (again: unknown) => {
        throw await judged(again, request, options, room);
      });
    });
    about.set({ reused: outcome.reused ?? 0 });
    return { value, outcome };
  });
}

async function callOnce<T>(
  { step, plan, fill, take }: CallRequest<T>,
  { runners, events, signal }: CallStepOptions,
  alone: boolean,
): Promise<{ readonly value: T; readonly outcome: StepOutcome }> {
  const { value, reused, ms } = await runners.call({
    ...{ plan, fill, take, alone, signal },
    onOutput: async ({ stream, bytes }) => await events.output(step, stream, bytes),
  });
  if (ms.started > 0)
    events.log(step, `${step}: a warm runner was started, in ${formatDuration(Math.round(ms.started))}`);
  return { value, outcome: { reused } };
}

/** Whether a runner ended, or was ended, with other calls in it: any of them may be why. */
function isShared(error: unknown): boolean {
  return (
    (error instanceof RunnerEnded || error instanceof CallTimedOut) &&
    error.phase === 'running' &&
    !error.alone
  );
}

/** What to throw for what a call threw: a {@link StepFailure} where its program was to blame. */
async function judged<T>(
  error: unknown,
  { step, plan }: CallRequest<T>,
  { events, signal }: CallStepOptions,
  room: RoomWatch,
): Promise<unknown> {
  if (signal.aborted) return signal.reason;
  if (error instanceof CallFailed && error.traceback !== undefined)
    await events.output(step, 'stderr', Buffer.from(`${error.traceback}\n`));
  // No call was under way, so the log of the order has none of it yet.
  const atStart = printedAtStart(error);
  if (atStart.length > 0) await events.output(step, 'stderr', Buffer.from(`${atStart.join('\n')}\n`));
  if (error instanceof RunnerEnded && !(error.why instanceof ProtocolFault)) {
    refuseIfKilled(step, error.why);
    await refuseOnFullDisk(step, error.why, room);
  }
  const found = endOfCall(error, step, plan.limits);
  if (found === undefined) return error;
  const { end, ...rest } = found;
  const log_tail = events.tail(step);
  return new StepFailure(end, { ...(log_tail.length === 0 ? {} : { log_tail }), ...rest, step }, {});
}

/** How a step ended whose call did not succeed, where its program was to blame; undefined for all else. */
export function endOfCall(error: unknown, step: CallStep, limits: RunLimits): StepEnd | undefined {
  if (error instanceof CallFailed) {
    const type = error.type === undefined ? '' : `${error.type}: `;
    return {
      ...{ end: 'call_failed', message: `The program failed: ${type}${error.message}` },
      exception: {
        message: error.message.slice(0, 4000),
        ...(error.type === undefined ? {} : { type: error.type.slice(0, 200) }),
        ...(error.traceback === undefined ? {} : { traceback: error.traceback.slice(-8000) }),
      },
    };
  }
  if (error instanceof RunnerEnded) return { ...endOfRunner(error, step, limits), ...startLog(error) };
  if (error instanceof CallTimedOut) return lateEnd(error, step);
  if (error instanceof RunnerBroken)
    return { end: 'runner_broken', message: error.message, log_tail: [...error.tail] };
  return isPlatformError(error, 'invalid_order')
    ? { end: 'runner_too_large', message: error.message }
    : undefined;
}

function endOfRunner({ why, message }: RunnerEnded, step: CallStep, limits: RunLimits): StepEnd {
  if (why instanceof ProtocolFault) return { end: 'runner_protocol_broken', message: why.message };
  const { exitCode: exit_code } = why;
  return endOfStep(step, why, limits) ?? { end: 'call_unanswered', message, exit_code };
}

/** Of waiting for others no program is to blame. */
function lateEnd(error: CallTimedOut, step: CallStep): StepEnd | undefined {
  const { phase, limitMs } = error;
  const limit = formatDuration(limitMs);
  if (phase === 'waiting') return undefined;
  if (phase === 'running')
    return {
      end: 'step_too_slow',
      message: `The step ${step} ran longer than ${limit} and was stopped.`,
      limit,
    };
  const message = `The program did not ask for its first call within ${limit}.`;
  return { end: 'runner_start_too_slow', message, limit, ...startLog(error) };
}

/** What a program printed before it had any call: all else is in the log of the calls that it had then. */
function printedAtStart(error: unknown): readonly string[] {
  if (error instanceof RunnerBroken) return error.tail;
  const isOfStart =
    (error instanceof RunnerEnded || error instanceof CallTimedOut) && error.phase === 'starting';
  return isOfStart ? error.tail : [];
}

function startLog(error: unknown): { log_tail?: string[] } {
  const printed = printedAtStart(error);
  return printed.length > 0 ? { log_tail: [...printed] } : {};
}
