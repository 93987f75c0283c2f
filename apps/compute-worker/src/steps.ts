import { mkdir, statfs } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { type Failure, OrderFailure, PlatformError } from '@morpheo/common';
import { span } from '@morpheo/service/trace';
import type { AttemptFeed } from './attempt-feed.ts';
import type { AttemptRecord } from './attempt-record.ts';
import type {
  AdoptOptions,
  ContainerRuntime,
  PreparedImage,
  RunLimits,
  RunOptions,
  RunResult,
  RunSpec,
} from './container-runtime/index.ts';
import { CONTAINER_STEPS, type ContainerStep } from './container-steps.ts';
import { formatBytes, formatDuration } from './format.ts';
import type { StepFacts } from './told-step.ts';

/** One container to run. */
export interface RunRequest {
  readonly step: ContainerStep;
  readonly image: PreparedImage;
  /** The step's own folder, which has the folders of its mounts (see {@link makeStepFolders}). */
  readonly folder: string;
  readonly scratch: string;
}

/** What {@link runContainer} works with. */
export interface RunTools {
  readonly runtime: ContainerRuntime;
  readonly feed: AttemptFeed;
  readonly limits: RunLimits;
  /** The ids of the GPUs that the attempt has. */
  readonly gpus: readonly string[];
  readonly order: string;
  readonly attempt: number;
  readonly record: AttemptRecord;
  readonly signal: AbortSignal;
}

/** Makes the folders that a step's mounts need. */
export async function makeStepFolders(step: ContainerStep, folder: string): Promise<void> {
  for (const mount of CONTAINER_STEPS[step].mounts)
    await mkdir(join(folder, mount.folder), { recursive: true });
}

/**
 * Runs the container of a step to its end, and notes in `facts` what it took. Throws `OrderFailure`, with the limit
 * or exit code and the end of the log, unless it exits with 0; what the runtime throws is ours, and passes through.
 */
export async function runContainer(request: RunRequest, tools: RunTools, facts: StepFacts): Promise<void> {
  const { runtime } = tools;
  await told(request.step, facts, async () => {
    const result = await runtime.run(specOf(request, tools), optionsOf(request, tools));
    await refuseOnFullDisk(request, result);
    judgeRun(request.step, result, tools, facts);
  });
}

/** {@link runContainer} for one that an earlier process of the worker began; false where there is nothing of it. */
export async function adoptContainer(
  request: RunRequest,
  tools: RunTools & Pick<AdoptOptions, 'printed'>,
  facts: StepFacts,
): Promise<boolean> {
  const { runtime, printed } = tools;
  return await told(request.step, facts, async () => {
    const options = { ...optionsOf(request, tools), printed };
    const result = await runtime.adopt?.(specOf(request, tools), options);
    if (result === undefined) return false;
    await refuseOnFullDisk(request, result);
    judgeRun(request.step, result, tools, facts);
    return true;
  });
}

/** With less than this left on its disk a worker is to blame for a program that fails, in bytes. */
const FULL_BYTES = 2 ** 20;

/** Throws `disk_full`, ours, where a program failed while the worker's own disk had no room: it may have failed for that. */
async function refuseOnFullDisk({ step, folder }: RunRequest, result: RunResult): Promise<void> {
  if (result.ended !== 'exited' || result.exitCode === 0) return;
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= FULL_BYTES) return;
  const message =
    `The step ${step} ended with exit code ${result.exitCode} while the worker's disk was full (${folder}): it is ` +
    'tried again. Give the worker room.';
  throw new PlatformError('disk_full', message);
}

/** Notes in `facts` what a run took, and throws what {@link runContainer} throws of how it ended. */
export function judgeRun(
  step: ContainerStep,
  result: RunResult,
  { limits, feed }: Pick<RunTools, 'limits' | 'feed'>,
  facts: StepFacts,
): void {
  facts.exit_code = result.exitCode;
  facts.ranSeconds = result.seconds;
  if (result.peakMemoryBytes !== undefined) facts.peak_memory_bytes = Math.round(result.peakMemoryBytes);
  if (result.cpuSeconds !== undefined) facts.cpu_seconds = result.cpuSeconds;
  const failure = failureOf(step, result, limits);
  if (failure !== undefined) throw new OrderFailure({ ...failure, step, log_tail: feed.tail(step) });
}

async function told<T>(step: ContainerStep, facts: StepFacts, run: () => Promise<T>): Promise<T> {
  return await span(`run ${step}`, {}, async (about) => {
    try {
      return await run();
    } finally {
      const { exit_code, peak_memory_bytes, cpu_seconds } = facts;
      const found = Object.entries({ exit_code, peak_memory_bytes, cpu_seconds });
      about.set(
        Object.fromEntries(found.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
      );
    }
  });
}

function specOf({ step, image, folder, scratch }: RunRequest, tools: RunTools): RunSpec {
  const { args, mounts, gpus } = CONTAINER_STEPS[step];
  const { limits, order, attempt } = tools;
  return {
    image,
    args,
    mounts: mounts.map((mount) => ({ ...mount, host: join(folder, mount.folder) })),
    limits,
    scratch,
    gpus: gpus ? tools.gpus : [],
    labels: { order, attempt, step },
  };
}

function optionsOf({ step }: RunRequest, { feed, record, signal }: RunTools): RunOptions {
  const pass = feed.outputOf(step);
  return {
    signal,
    onOutput: async (chunk) => {
      await pass(chunk);
      record.printed(step, chunk.bytes.byteLength);
    },
    onEnd: async (result) => await record.end(step, result),
  };
}

function failureOf(step: ContainerStep, result: RunResult, limits: RunLimits): Failure | undefined {
  const peak = result.peakMemoryBytes === undefined ? {} : { peak: formatBytes(result.peakMemoryBytes) };
  switch (result.ended) {
    case 'timed_out': {
      const limit = formatDuration(limits.wallMs);
      return {
        reason: 'timed_out',
        message: `The step ${step} ran longer than ${limit} and was stopped.`,
        limit,
      };
    }
    case 'out_of_memory': {
      const limit = formatBytes(limits.memoryBytes);
      const message = `The step ${step} needed more than ${limit} of memory and was stopped.`;
      return { reason: 'out_of_memory', message, limit, ...peak, exit_code: result.exitCode };
    }
    case 'output_limit': {
      const limit = formatBytes(limits.outputBytes);
      return {
        reason: 'output_limit',
        message: `The step ${step} printed more than ${limit} and was stopped.`,
        limit,
      };
    }
    case 'disk_full': {
      const limit = `${formatBytes(limits.diskBytes)} and ${limits.diskFiles} files`;
      return {
        reason: 'disk_full',
        message: `The step ${step} wrote more than ${limit} and was stopped.`,
        limit,
      };
    }
    case 'exited':
      return result.exitCode === 0 ? undefined : exitFailure(step, result.exitCode);
  }
}

function exitFailure(step: ContainerStep, exitCode: number): Failure {
  const signal = Object.entries(os.signals).find(([, number]) => number === exitCode - 128)?.[0];
  const how = signal === undefined ? `with exit code ${exitCode}` : `by ${signal} (exit code ${exitCode})`;
  return { reason: 'exit_code', message: `The step ${step} ended ${how}.`, exit_code: exitCode };
}
