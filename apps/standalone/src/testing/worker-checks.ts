import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import type { PausedStep } from './paused-programs.ts';
import type { ListedContainer, WorkerFixture, WorkerProcess } from './worker-fixture.ts';

/** Waits until the step of an order that is to wait prints, for as many starts of it, and returns its newest container. */
export async function waitingContainer(
  t: ExecutionContext,
  fixture: WorkerFixture,
  order: string,
  step: PausedStep = 'train',
  start = 1,
): Promise<ListedContainer> {
  const ticks = async () => (await fixture.log(order)).split(`begins ${step}`)[start] ?? '';
  await eventually(t, async (t) => t.regex(await ticks(), /tick 2/));
  const [container] = await fixture.containers(order, step);
  if (container === undefined) throw new Error(`There is no container of the step ${step}.`);
  return container;
}

/** Waits until an order has ended. */
export async function untilEnded(t: ExecutionContext, fixture: WorkerFixture, order: string): Promise<void> {
  await eventually(t, async (t) => t.truthy((await fixture.order(order)).ended_at));
}

/** How often the program of a step of an order was started, of all that it printed. */
export async function starts(fixture: WorkerFixture, order: string, step: PausedStep): Promise<number> {
  return new Set((await fixture.log(order)).match(new RegExp(`begins ${step} \\S+`, 'g'))).size;
}

/** Waits until nothing of ours is in the daemon, and demands that workers have no folders of attempts. */
export async function nothingLeft(
  t: ExecutionContext,
  fixture: WorkerFixture,
  ...workers: readonly WorkerProcess[]
): Promise<void> {
  await eventually(t, async (t) => t.is(await fixture.inDaemon(), ''));
  for (const worker of workers)
    await eventually(t, async (t) => t.deepEqual(await fixture.workspaces(worker), []));
}
