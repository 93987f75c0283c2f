import { setTimeout as pause } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Api, ComputeContract, OrderSummary } from '@morpheo/common';

const LOOK_EVERY_MS = 100;

/**
 * Shows trainings live, line by line as the algorithms print, until `count` of them are done. Throws where one fails.
 * `names` are those of the algorithms by id.
 */
export async function watchTrainings(
  compute: Api<ComputeContract>,
  names: ReadonlyMap<string, string>,
  count: number,
  signal: AbortSignal,
): Promise<void> {
  const followed = new Map<string, Promise<void>>();
  for (let done = 0; done < count; ) {
    signal.throwIfAborted();
    const { items } = await compute.listOrders({ query: { kind: 'learn', limit: 200 } }, { signal });
    for (const order of items.toReversed()) {
      if (followed.has(order.id) || order.status === 'todo') continue;
      const title = `${(names.get(order.algo ?? '') ?? '').padEnd(18)} rank ${order.rank}`;
      followed.set(order.id, follow(compute, order.id, title, signal));
    }
    done = items.filter((order) => order.status === 'done').length;
    refuseFailures(items);
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
  await Promise.all(followed.values());
}

async function follow(
  compute: Api<ComputeContract>,
  id: string,
  title: string,
  signal: AbortSignal,
): Promise<void> {
  const params = { id };
  for await (const { data } of await compute.orderLogEvents({ params, headers: {} }, { signal })) {
    if (data.step !== 'train' || data.stream !== 'stdout') continue;
    for (const line of data.text.trimEnd().split('\n'))
      show(title, styleText('dim', line.replace(/^[\w-]+: /, '')));
  }
  const { result, attempts } = await compute.getOrder({ params }, { signal });
  const seconds = attempts.flatMap((attempt) => attempt.steps).reduce((sum, step) => sum + step.seconds, 0);
  const perf = result?.performance?.perf.toFixed(4);
  show(title, styleText('green', `✔ accuracy ${perf} on the test data, ${seconds.toFixed(1)} s`));
}

function refuseFailures(items: readonly OrderSummary[]): void {
  for (const { status, failure, id } of items) {
    if (status === 'failed') throw new Error(`training ${id} failed: ${failure?.message}`);
  }
}

function show(title: string, text: string): void {
  process.stdout.write(`${title}  ${text}\n`);
}
