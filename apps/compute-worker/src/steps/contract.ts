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
