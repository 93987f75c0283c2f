import type { Api, OrderKind, StorageContract } from '@morpheo/common';
import type { AttemptFeed } from '../attempt-feed.ts';
import type { Cache } from '../cache/index.ts';
import type { ContainerRuntime } from '../container-runtime/index.ts';
import type { ContainerStep } from '../container-steps.ts';
import type { Inputs } from '../inputs.ts';
import type { WorkerLimits } from '../limits.ts';
import type { WorkerMeters } from '../meters.ts';
import type { Placing } from '../place.ts';
import { adoptContainer, judgeRun, type RunRequest, type RunTools, runContainer } from '../steps.ts';
import type { StepFacts } from '../told-step.ts';
import type { Workspace } from '../workspace.ts';

/** The parts of a worker that its attempts share. */
export interface WorkerParts {
  readonly storage: Api<StorageContract>;
  readonly inputs: Inputs;
  readonly cache: Cache;
  readonly runtime: ContainerRuntime;
  readonly limits: WorkerLimits;
  /** Where the work is counted; nowhere where absent. */
  readonly meters?: WorkerMeters | undefined;
}

/** What a workflow works with: the parts of its worker, and what belongs to its attempt alone. */
export interface AttemptTools extends WorkerParts {
  readonly kind: OrderKind;
  readonly order: string;
  readonly attempt: number;
  /** Whose order it is, and so whose its result; undefined where compute-api did not say. */
  readonly owner: string | undefined;
  /** The ids of its GPUs. */
  readonly gpus: readonly string[];
  readonly feed: AttemptFeed;
  readonly workspace: Workspace;
  /** What is in use until the attempt ends. */
  readonly held: DisposableStack;
  /** Aborts the work when the attempt is over; the reason says why. */
  readonly signal: AbortSignal;
}

/** A container step of a workflow. */
export interface StepRequest extends Pick<RunRequest, 'step' | 'image'> {
  /** Fills the step's own folder, also with the folders of its mounts (see `makeStepFolders`). */
  readonly prepare: (folder: string) => Promise<void>;
}

/**
 * Sees that the container of a step has run, with the limits of the attempt's kind (see {@link runContainer}), and
 * returns the step's folder. Where an earlier process of the worker began it, it is gone on with; where that saw its
 * end, it is not run again. What is done with the folder afterwards has to bear being done twice, or to be noted by
 * {@link startOver}.
 */
export async function runStep(
  { step, image, prepare }: StepRequest,
  tools: AttemptTools,
  facts: StepFacts,
): Promise<string> {
  const { workspace, feed } = tools;
  const { record } = workspace;
  const limits = { ...tools.limits.run, wallMs: tools.limits.wallMs[tools.kind] };
  const runTools: RunTools = { ...tools, limits, record };
  const request = async () => {
    return { step, image, folder: workspace.at(step), scratch: await workspace.folder(`${step}.scratch`) };
  };
  const known = record.step(step);
  if (known?.state === 'ended') {
    facts.cached = true;
    judgeRun(step, known.result, runTools, facts);
    return workspace.at(step);
  }
  if (known?.state === 'begun') {
    if (await adoptContainer(await request(), { ...runTools, printed: known.printed }, facts))
      return workspace.at(step);
    feed.say(step, `${step}: its container did not outlive the worker, and is run again`);
  }
  const folder = await workspace.folder(step);
  await prepare(folder);
  await record.begin(step);
  await runContainer(await request(), runTools, facts);
  return folder;
}

/** Notes that a step is to be run anew should the worker die from here on: what it wrote is being moved away. */
export async function startOver(step: ContainerStep, { workspace }: AttemptTools): Promise<void> {
  await workspace.record.forget(step);
}

/** How files come under a mount that the code may only read. */
export function readOnlyPlacing(runtime: ContainerRuntime): Placing {
  return runtime.isolates ? 'link' : 'copy';
}
