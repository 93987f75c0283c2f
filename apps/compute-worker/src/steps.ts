import { mkdir } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { type Failure, OrderFailure } from '@morpheo/common';
import { span } from '@morpheo/service/trace';
import type { AttemptFeed } from './attempt-feed.ts';
import type { ContainerRuntime, PreparedImage, RunLimits, RunResult } from './container-runtime/index.ts';
import { formatBytes, formatDuration } from './format.ts';
import type { StepFacts } from './told-step.ts';

/** A step that runs in a container. */
export type ContainerStep = 'detarget' | 'train' | 'perf' | 'predict';

interface Recipe {
  readonly args: readonly string[];
  /** Whether it gets the GPUs of its attempt: the algorithm does, what belongs to the problem runs the same anywhere. */
  readonly gpus: boolean;
  /** Folders below the step's own host folder, and where they stand in the container. */
  readonly mounts: readonly {
    readonly folder: string;
    readonly container: string;
    readonly readOnly: boolean;
  }[];
}

const PROBLEM_PATHS = ['-i', '/hidden_data', '-s', '/submission_data'];

/**
 * The container contract: what each step is called with and what it sees. Source: wire format of the original worker,
 * "Container contract", here with what a step only reads mounted read-only. `train` never sees the hidden test data.
 */
export const CONTAINER_STEPS: Readonly<Record<ContainerStep, Recipe>> = {
  detarget: {
    args: ['-T', 'detarget', ...PROBLEM_PATHS],
    gpus: false,
    mounts: [
      { folder: 'test', container: '/hidden_data/test', readOnly: true },
      { folder: 'untargeted_test', container: '/submission_data/test', readOnly: false },
    ],
  },
  train: {
    args: ['-V', '/data', '-T', 'train'],
    gpus: true,
    mounts: [
      { folder: 'train', container: '/data/train', readOnly: false },
      { folder: 'untargeted_test', container: '/data/test', readOnly: false },
      { folder: 'model', container: '/data/model', readOnly: false },
    ],
  },
  perf: {
    args: ['-T', 'perf', ...PROBLEM_PATHS],
    gpus: false,
    mounts: [
      { folder: 'test', container: '/hidden_data/test', readOnly: true },
      { folder: 'perf', container: '/hidden_data/perf', readOnly: false },
      { folder: 'train', container: '/submission_data/train', readOnly: true },
      { folder: 'untargeted_test', container: '/submission_data/test', readOnly: true },
    ],
  },
  predict: {
    args: ['-V', '/data', '-T', 'predict'],
    gpus: true,
    mounts: [
      { folder: 'test', container: '/data/test', readOnly: true },
      { folder: 'test/pred', container: '/data/test/pred', readOnly: false },
      { folder: 'model', container: '/data/model', readOnly: false },
    ],
  },
};

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
  await span(`run ${request.step}`, {}, async (told) => {
    try {
      await runToEnd(request, tools, facts);
    } finally {
      const { exit_code, peak_memory_bytes, cpu_seconds } = facts;
      const found = Object.entries({ exit_code, peak_memory_bytes, cpu_seconds });
      told.set(
        Object.fromEntries(found.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
      );
    }
  });
}

async function runToEnd(request: RunRequest, tools: RunTools, facts: StepFacts): Promise<void> {
  const { step, image, folder, scratch } = request;
  const { runtime, feed, limits, order, attempt, signal } = tools;
  const { args, mounts, gpus } = CONTAINER_STEPS[step];
  const result = await runtime.run(
    {
      image,
      args,
      mounts: mounts.map((mount) => ({ ...mount, host: join(folder, mount.folder) })),
      limits,
      scratch,
      gpus: gpus ? tools.gpus : [],
      labels: { order, attempt, step },
    },
    { signal, onOutput: feed.outputOf(step) },
  );
  facts.exit_code = result.exitCode;
  if (result.peakMemoryBytes !== undefined) facts.peak_memory_bytes = Math.round(result.peakMemoryBytes);
  if (result.cpuSeconds !== undefined) facts.cpu_seconds = result.cpuSeconds;
  const failure = failureOf(step, result, limits);
  if (failure !== undefined) throw new OrderFailure({ ...failure, step, log_tail: feed.tail(step) });
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
