import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import type { PatientStep } from './patient-programs.ts';
import type { WorkerProcess } from './worker-process.ts';
import type { ListedContainer, WorkerSite } from './worker-site.ts';

/** How long anything may take on a busy machine. */
export const PATIENCE_MS = 90_000;

/** Waits until the step of an order that is to wait prints, for as many starts of it, and returns its newest container. */
export async function waitingContainer(
  t: ExecutionContext,
  site: WorkerSite,
  order: string,
  step: PatientStep = 'train',
  start = 1,
): Promise<ListedContainer> {
  const ticks = async () => (await site.log(order)).split(`begins ${step}`)[start] ?? '';
  await eventually(t, async (t) => t.regex(await ticks(), /tick 2/), PATIENCE_MS);
  const [container] = await site.containers(order, step);
  if (container === undefined) throw new Error(`There is no container of the step ${step}.`);
  return container;
}

/** Waits until an order has ended. */
export async function untilEnded(t: ExecutionContext, site: WorkerSite, order: string): Promise<void> {
  await eventually(t, async (t) => t.truthy((await site.order(order)).ended_at), PATIENCE_MS);
}

/** How often the program of a step of an order was started, of all that it printed. */
export async function starts(site: WorkerSite, order: string, step: PatientStep): Promise<number> {
  return new Set((await site.log(order)).match(new RegExp(`begins ${step} \\S+`, 'g'))).size;
}

/** Waits until nothing of ours is in the daemon, and demands that workers have no folders of attempts. */
export async function nothingLeft(
  t: ExecutionContext,
  site: WorkerSite,
  ...workers: readonly WorkerProcess[]
): Promise<void> {
  await eventually(t, async (t) => t.is(await site.inDaemon(), ''), PATIENCE_MS);
  for (const worker of workers)
    await eventually(t, async (t) => t.deepEqual(await site.workspaces(worker), []), PATIENCE_MS);
}
