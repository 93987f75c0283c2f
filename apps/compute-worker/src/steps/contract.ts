import type { RunLimits } from '../runtime/index.ts';

/** Where an algorithm finds the parameters of a training, in the container and in the folder of the step. */
const PARAMETERS = { folder: 'parameters.json', container: '/data/parameters.json', readOnly: true } as const;

/** A step that runs in a container. */
export type ContainerStep = 'detarget' | 'train' | 'perf' | 'predict' | 'job';

/** What the container of a step is called with, and what it sees. */
export interface Recipe {
  readonly step: ContainerStep;
  /** Where absent, those that the image has. */
  readonly args?: readonly string[] | undefined;
  /** Variables by their names; none where absent. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether it gets the GPUs of its attempt: the algorithm does, what belongs to the problem runs the same anywhere. */
  readonly gpus: boolean;
  /** What lies below the step's own host folder, and where it stands in the container. */
  readonly mounts: readonly {
    /** The path of a folder, or of a file that is read only, in the step's folder. */
    readonly folder: string;
    readonly container: string;
    readonly readOnly: boolean;
  }[];
  /** Bounds of its own, where they are lower than the worker's. */
  readonly limits?: { readonly [L in 'wallMs' | 'memoryBytes' | 'diskBytes']?: RunLimits[L] | undefined };
}

const PROBLEM_PATHS = ['-i', '/hidden_data', '-s', '/submission_data'];

/**
 * The container contract of training and predicting: what each step is called with and what it sees. Source: wire format of the original worker,
 * "Container contract", here with what a step only reads mounted read-only. `train` never sees the hidden test data.
 */
export const CONTAINER_STEPS: Readonly<Record<Exclude<ContainerStep, 'job'>, Recipe>> = {
  detarget: {
    step: 'detarget',
    args: ['-T', 'detarget', ...PROBLEM_PATHS],
    gpus: false,
    mounts: [
      { folder: 'test', container: '/hidden_data/test', readOnly: true },
      { folder: 'untargeted_test', container: '/submission_data/test', readOnly: false },
    ],
  },
  train: {
    step: 'train',
    args: ['-V', '/data', '-T', 'train'],
    gpus: true,
    mounts: [
      { folder: 'train', container: '/data/train', readOnly: false },
      { folder: 'untargeted_test', container: '/data/test', readOnly: false },
      { folder: 'model', container: '/data/model', readOnly: false },
    ],
  },
  perf: {
    step: 'perf',
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
    step: 'predict',
    args: ['-V', '/data', '-T', 'predict'],
    gpus: true,
    mounts: [
      { folder: 'test', container: '/data/test', readOnly: true },
      { folder: 'test/pred', container: '/data/test/pred', readOnly: false },
      { folder: 'model', container: '/data/model', readOnly: false },
    ],
  },
};

/** The *train* step of an order; one that has parameters finds them in a file. */
export function trainStep({ parameters }: { readonly parameters?: string | undefined }): Recipe {
  const { train } = CONTAINER_STEPS;
  return parameters === undefined ? train : { ...train, mounts: [...train.mounts, PARAMETERS] };
}
