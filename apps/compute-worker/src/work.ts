import { type Claim, type OrderResult, PlatformError } from '@morpheo/common';
import type { AttemptFeed } from './attempt-feed.ts';
import { describeGpu } from './gpus/find-gpus.ts';
import type { GpuAllocator, GpuLease } from './gpus/gpu-allocator.ts';
import type { AttemptTools, WorkerParts } from './workflows/attempt-tools.ts';
import { learn } from './workflows/learn.ts';
import { predict } from './workflows/predict.ts';
import type { Workspaces } from './workspace.ts';

/** What the work of an attempt tells, and is told. */
export interface WorkSignals {
  readonly feed: AttemptFeed;
  /** Aborts the work when the attempt is over; the reason says why. */
  readonly signal: AbortSignal;
}

/** Does what an order asks for and resolves with its result, staged on storage; leaves nothing else behind. */
export type Work = (claim: Claim, signals: WorkSignals) => Promise<OrderResult>;

/**
 * The {@link Work} of a worker: the workflow of the order's kind, in a workspace of the attempt alone. The attempt has
 * its GPUs as soon as it is started, before anything is awaited, and until all of it has ended.
 */
export function createWork(parts: WorkerParts, workspaces: Workspaces, gpus: GpuAllocator): Work {
  return async (claim, signals) => {
    const { order, attempt, spec } = claim;
    await using lease = leaseGpus(gpus, claim);
    if (lease.gpus.length > 0) {
      signals.feed.say('inputs', `inputs: leased ${lease.gpus.map(describeGpu).join(', ')}`);
    }
    await using workspace = await workspaces.open(order, attempt);
    using held = new DisposableStack();
    return await workflowOf(claim, {
      ...parts,
      ...signals,
      kind: spec.kind,
      order,
      attempt,
      gpus: lease.gpus.map(({ id }) => id),
      workspace,
      held,
    });
  };
}

function leaseGpus(gpus: GpuAllocator, { gpus: count }: Claim): GpuLease {
  const lease = gpus.lease(count);
  if (lease !== undefined) return lease;
  const message = `The order asks for ${count} GPUs, and the worker that took it has ${gpus.free} free.`;
  throw new PlatformError('unavailable', message);
}

async function workflowOf({ spec }: Claim, tools: AttemptTools): Promise<OrderResult> {
  switch (spec.kind) {
    case 'learn':
      return await learn(spec.uplet, tools);
    case 'predict':
      return await predict(spec.uplet, tools);
  }
}
