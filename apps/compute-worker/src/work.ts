import { type Claim, type OrderResult, PlatformError } from '@morpheo/common';
import type { AttemptFeed } from './attempt-feed.ts';
import { describeGpu } from './gpus/find-gpus.ts';
import type { GpuAllocator, GpuLease } from './gpus/gpu-allocator.ts';
import type { Leftovers } from './leftovers.ts';
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

/** Where work is done, and what of it is there already. */
export interface WorkPlaces {
  readonly workspaces: Workspaces;
  readonly gpus: GpuAllocator;
  readonly leftovers?: Leftovers;
}

/**
 * The {@link Work} of a worker: the workflow of the order's kind, in a workspace of the attempt alone, which is that
 * of an earlier process where the attempt goes on. The attempt has
 * its GPUs as soon as it is started, before anything is awaited, and until all of it has ended.
 */
export function createWork(parts: WorkerParts, { workspaces, gpus, leftovers }: WorkPlaces): Work {
  return async (claim, signals) => {
    const { order, attempt, spec, owner } = claim;
    const left = leftovers?.take(claim);
    await using lease = left === undefined ? leaseGpus(gpus, claim) : gpus.leaseAgain(left.gpus);
    if (lease.gpus.length > 0) {
      signals.feed.say('inputs', `inputs: leased ${lease.gpus.map(describeGpu).join(', ')}`);
    }
    await using stack = new AsyncDisposableStack();
    const start = { order, attempt, leaseMs: claim.lease_ms, gpus: lease.gpus };
    const workspace = stack.use(left === undefined ? await workspaces.open(start) : workspaces.reopen(left));
    if (left !== undefined) {
      stack.defer(async () => await leftovers?.end(claim));
      signals.feed.say('inputs', 'worker: started again, and goes on with what it has of this attempt');
      await left.resume();
    }
    using held = new DisposableStack();
    return await workflowOf(claim, {
      ...parts,
      ...signals,
      kind: spec.kind,
      order,
      attempt,
      owner,
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
