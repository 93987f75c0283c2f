import type { Api, OrderKind, StorageContract } from '@morpheo/common';
import type { AttemptFeed } from '../attempt-feed.ts';
import type { Cache } from '../cache/index.ts';
import type { ContainerRuntime } from '../container-runtime/index.ts';
import type { Inputs } from '../inputs.ts';
import type { WorkerLimits } from '../limits.ts';
import type { WorkerMeters } from '../meters.ts';
import type { Placing } from '../place.ts';
import { type RunRequest, type RunTools, runContainer } from '../steps.ts';
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
  /** The ids of its GPUs. */
  readonly gpus: readonly string[];
  readonly feed: AttemptFeed;
  readonly workspace: Workspace;
  /** What is in use until the attempt ends. */
  readonly held: DisposableStack;
  /** Aborts the work when the attempt is over; the reason says why. */
  readonly signal: AbortSignal;
}

/** Runs the container of a step with the limits of the attempt's kind; see {@link runContainer}. */
export async function runStep(
  request: Omit<RunRequest, 'scratch'>,
  tools: AttemptTools,
  facts: StepFacts,
): Promise<void> {
  const limits = { ...tools.limits.run, wallMs: tools.limits.wallMs[tools.kind] };
  const runTools: RunTools = { ...tools, limits };
  const scratch = await tools.workspace.folder(`${request.step}.scratch`);
  await runContainer({ ...request, scratch }, runTools, facts);
}

/** How files come under a mount that the code may only read. */
export function readOnlyPlacing(runtime: ContainerRuntime): Placing {
  return runtime.isolates ? 'link' : 'copy';
}
