import { type Claim, type OrderResult, PlatformError } from '@morpheo/common';
import type { Recovery } from '../agent/recovery.ts';
import type { GpuAllocator, GpuLease } from '../gpus/allocator.ts';
import { describeGpu } from '../gpus/find.ts';
import type { RunnerView } from '../runners/index.ts';
import { job } from '../workflows/job.ts';
import { learn } from '../workflows/learn.ts';
import { predict } from '../workflows/predict.ts';
import { Attempt, type WorkerParts } from './attempt.ts';
import type { AttemptEvents } from './events.ts';
import type { Workspaces } from './workspace.ts';

/** What the work of an attempt sends, and what ends it. */
export interface WorkSignals {
  readonly events: AttemptEvents;
  /** Aborts the work when the attempt is over; the reason says why. */
  readonly signal: AbortSignal;
  /** What storage lets the attempt do its work by, as it is now; undefined: it has none. */
  readonly ticket: () => string | undefined;
  /** What is left to be done when the end of the attempt is reported. Nothing of it may throw. */
  readonly behind: AsyncDisposableStack;
}

/**
 * Does what an order asks for and resolves with its result, staged on storage; leaves nothing else, once what is to be
 * done behind the report has been done.
 */
export type Work = (claim: Claim, signals: WorkSignals) => Promise<OrderResult>;

/** Where work is done, and what of it is there already. */
export interface WorkResources {
  readonly workspaces: Workspaces;
  readonly gpus: GpuAllocator;
  readonly recovery: Recovery;
}

/**
 * The {@link Work} of a worker: the workflow of the order's kind, in a workspace of the attempt alone, which is that
 * of an earlier process where the attempt is resumed. The attempt has its GPUs as soon as it is started, before
 * anything is awaited, and until all of it has ended.
 */
export function createWork(parts: WorkerParts, { workspaces, gpus, recovery }: WorkResources): Work {
  return async (claim, { events, signal, ticket, behind }) => {
    const { order, attempt: number, spec } = claim;
    const journal = recovery.resume(claim);
    using lease = journal === undefined ? leaseGpus(gpus, claim, parts) : gpus.leaseAgain(journal.gpus);
    await lease.ready;
    if (lease.gpus.length > 0) {
      events.log('inputs', `inputs: leased ${lease.gpus.map(describeGpu).join(', ')}`);
    }
    await using stack = new AsyncDisposableStack();
    const start = { order, attempt: number, leaseMs: claim.lease_ms, gpus: lease.gpus };
    const workspace = behind.use(
      journal === undefined ? await workspaces.make(start) : workspaces.reopen(journal),
    );
    if (journal !== undefined) {
      stack.defer(async () => await recovery.end(claim));
      parts.meters.attemptResumed(spec.kind);
      events.log('inputs', 'worker: started again, and goes on with what it has of this attempt');
      await journal.resume();
    }
    const ids = lease.gpus.map(({ id }) => id);
    const releaseGpus = () => lease[Symbol.dispose]();
    const its = { claim, workspace, gpus: ids, releaseGpus, events, signal, ticket };
    await using attempt = new Attempt(parts, its);
    switch (spec.kind) {
      case 'learn':
        return await learn(spec.uplet, attempt);
      case 'predict':
        return await predict(spec.uplet, attempt);
      case 'job':
        return await job(spec.uplet, attempt);
    }
  };
}

function leaseGpus(gpus: GpuAllocator, claim: Claim, parts: WorkerParts): GpuLease {
  const count = isCall(claim, parts) ? 0 : claim.gpus;
  const lease = gpus.lease(count);
  if (lease !== undefined) return lease;
  const message = `The order asks for ${count} GPUs, and the worker that took it has ${gpus.free} free.`;
  throw new PlatformError('unavailable', message);
}

/**
 * Whether an order is known to become a call in a warm runner, which has GPUs of its own: to lease some for the order might
 * end that very runner. A prediction is where something serves its model, whose algorithm can be kept warm then.
 */
function isCall({ spec, audience, gpus }: Claim, { runners, limits: { run: limits } }: WorkerParts): boolean {
  if (spec.kind === 'job') return spec.uplet.warm !== undefined;
  if (spec.kind !== 'predict' || audience === undefined || runners?.possible !== true) return false;
  if (runners.refusal({ limits, gpus }) !== undefined) return false;
  const { model } = spec.uplet;
  const isReady = ({ state }: RunnerView) => state === 'idle' || state === 'busy';
  return runners.list().some((one) => one.protocol === 'runner' && one.shown.model === model && isReady(one));
}
