import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type CallDone,
  callPath,
  type GivenCall,
  type JobInput,
  OrderFailure,
  toPlatformError,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { nameOf } from '../../inputs/download.ts';
import type { InputBlob } from '../../inputs/fetch.ts';
import { resourcesOf } from '../../inputs/job-inputs.ts';
import { CallFailed, CallTimedOut, ProtocolFault, RunnerBroken, RunnerEnded } from '../../runners/errors.ts';
import type { Runners, RunnerView } from '../../runners/index.ts';
import type { RunResult } from '../../runtime/index.ts';
import { fillCall, splitInputs } from '../../warm/call-files.ts';
import { CallLog } from './call-log.ts';
import { type CallPlanParts, CallPlans } from './call-plans.ts';
import type { CallsOptions } from './calls.ts';
import { readOutputs } from './read-outputs.ts';

/** What {@link runCall} works with. */
export interface RunCallOptions {
  readonly runners: Pick<Runners, 'call' | 'list'>;
  readonly plans: CallPlans;
  readonly log: Log;
}

/** What answers the calls of a worker: its warm runners, which get their inputs through these parts. */
export function createCalls(
  parts: CallPlanParts,
  runners: Runners,
  log: Log,
): Pick<CallsOptions, 'run' | 'runners' | 'planKeys'> {
  const plans = new CallPlans(parts);
  return {
    runners,
    run: async (given, over) => await runCall(given, { runners, plans, log }, over),
    planKeys: () => plans.keys(),
  };
}

/** How a call ended, without its id. */
type Outcome = CallDone extends infer Done ? (Done extends CallDone ? Omit<Done, 'call'> : never) : never;

/**
 * Has a call answered by a warm runner, and tells how it ended, whatever that was; never rejects. An abort of `over` ends
 * it: then nobody waits for that.
 */
export async function runCall(
  given: GivenCall,
  options: RunCallOptions,
  over: AbortSignal,
): Promise<CallDone> {
  const { call } = given;
  const printed = new CallLog();
  const waiting = new AbortController();
  // Storage, the image and the runner come in this time; its program has its own.
  const late = () => waiting.abort(waitedTooLong(options.runners.list(), given.key));
  const clock = setTimeout(late, given.wait_ms);
  const signal = AbortSignal.any([over, waiting.signal]);
  try {
    const plan = await options.plans.planOf(given, printed, signal);
    const { value, reused, ms } = await options.runners.call({
      ...{ plan, signal },
      fill: async (inputs) => {
        await fill(given, inputs, printed, options.plans, signal);
        clearTimeout(clock);
      },
      take: async (outputs) => await readOutputs(outputs, over),
      onOutput: printed.onOutput,
    });
    return { call, outcome: 'done', outputs: value, reused, ms, ...printed.shown() };
  } catch (error) {
    return { call, ...outcomeOf(error, printed, options.log) };
  } finally {
    clearTimeout(clock);
  }
}

/** The reason of a call that has waited as long as its caller lets it. */
class WaitedTooLong extends Error {
  readonly phase: 'waiting' | 'starting';
  /** The last lines of the runner that is still starting. */
  readonly tail: readonly string[];

  constructor(phase: 'waiting' | 'starting', tail: readonly string[] = []) {
    super('The call has waited as long as it may.');
    this.phase = phase;
    this.tail = tail;
  }
}

/** Tells what a call waits for that has no runner yet. */
function waitedTooLong(views: readonly RunnerView[], key: string): WaitedTooLong {
  const own = views.filter(({ shown }) => shown.callKey === key);
  const starting = own.find(({ state }) => state === 'starting');
  if (starting === undefined || own.some(({ state }) => state === 'busy'))
    return new WaitedTooLong('waiting');
  return new WaitedTooLong('starting', starting.tail?.());
}

async function fill(
  given: GivenCall,
  folder: string,
  printed: CallLog,
  plans: CallPlans,
  signal: AbortSignal,
): Promise<void> {
  const { ofCall } = splitInputs(given.spec.inputs ?? []);
  if (ofCall.every((input) => isSmall(input))) return writeSmall(ofCall, folder);
  using supplies = plans.supplies(given, printed, signal);
  const blobs = new Map<string, InputBlob>();
  for (const name of resourcesOf(ofCall)) blobs.set(nameOf(name), await supplies.fetch(name));
  const blob = (name: Parameters<typeof nameOf>[0]) => {
    const found = blobs.get(nameOf(name));
    if (found === undefined) throw new Error(`${nameOf(name)} was not asked for`);
    return found;
  };
  await fillCall(ofCall, blob, folder, supplies);
}

/** Up to this length, in characters of base64, a file is written at once: to wait for the disk's threads takes longer. */
const SMALL = 64 * 1024;

function isSmall({ inline, unpack }: JobInput): boolean {
  return inline !== undefined && unpack !== true && inline.length <= SMALL;
}

function writeSmall(inputs: readonly JobInput[], folder: string): void {
  for (const { path, inline = '' } of inputs) {
    const target = join(folder, callPath(path) ?? '');
    if (dirname(target) !== folder) mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, inline, { encoding: 'base64', flag: 'wx' });
  }
}

function outcomeOf(error: unknown, printed: CallLog, log: Log): Outcome {
  if (error instanceof CallFailed) {
    const { message, type, traceback } = error;
    const told = {
      ...(type === undefined ? {} : { type: type.slice(0, MOST.type) }),
      ...(traceback === undefined ? {} : { traceback: traceback.slice(-MOST.log) }),
    };
    return { outcome: 'failed', message: short(message), ...told, ...printed.shown() };
  }
  if (error instanceof RunnerEnded) {
    const why = error.why instanceof ProtocolFault ? error.why.message : ENDS[error.why.ended](error.why);
    return { outcome: 'ended', message: short(`${error.message} ${why}`), ...printed.shown(error.tail) };
  }
  if (error instanceof CallTimedOut || error instanceof WaitedTooLong)
    return { outcome: 'timed_out', phase: error.phase, ...printed.shown(error.tail) };
  if (error instanceof RunnerBroken)
    return {
      outcome: 'refused',
      code: 'unavailable',
      message: short(error.message),
      ...printed.shown(error.tail),
    };
  if (error instanceof OrderFailure) return refusedBy(error, printed);
  const told = toPlatformError(error);
  if (told.code === 'internal') log.error({ error }, 'A call could not be run');
  return { outcome: 'refused', code: told.code, message: short(told.message), ...printed.shown() };
}

/** What is wrong with what the call names, or with what its program left. */
function refusedBy({ failure }: OrderFailure, printed: CallLog): Outcome {
  const { message, hint, log_tail: tail, file } = failure;
  const all = short(hint === undefined ? message : `${message} ${hint}`);
  if (file !== undefined && failure.step === undefined)
    return { outcome: 'failed', message: all, ...printed.shown(tail) };
  return { outcome: 'refused', code: 'invalid_order', message: all, ...printed.shownOfBuild(tail) };
}

/** How a program ended, in a sentence. */
const ENDS: Readonly<Record<RunResult['ended'], (result: RunResult) => string>> = {
  exited: ({ exitCode }) => `It ended with exit code ${exitCode}.`,
  timed_out: () => 'It ran longer than it may.',
  out_of_memory: () => 'It needed more memory than it may have (limits.memory_bytes).',
  output_limit: () => 'It printed more than it may.',
  disk_full: () => 'It wrote more than it may (limits.disk_bytes).',
};

const MOST = { message: 4000, type: 200, log: 65_536 };

function short(message: string): string {
  return message.slice(0, MOST.message);
}
