import { styleText } from 'node:util';
import {
  type Api,
  type ComputeContract,
  isPlatformError,
  type OrderSummary,
  retry,
  sleep,
} from '@morpheo/common';

const LOOK_EVERY_MS = 100;

/**
 * Shows the trainings of some algorithms live, line by line as they print, until `count` of them are done. Throws where
 * one fails. `names` are those of the algorithms by id.
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
    const query = { kind: 'learn', limit: 200 } as const;
    const { items: all } = await whenThere(() => compute.listOrders({ query }, { signal }), signal);
    const items = all.filter((order) => names.has(order.algo ?? ''));
    for (const order of items.toReversed()) {
      if (followed.has(order.id) || order.status === 'todo') continue;
      const title = `${(names.get(order.algo ?? '') ?? '').padEnd(18)} rank ${order.rank}`;
      followed.set(order.id, follow(compute, order.id, title, signal));
    }
    done = items.filter((order) => order.status === 'done').length;
    refuseFailures(items);
    await sleep(LOOK_EVERY_MS, signal);
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
  let last: string | undefined;
  await whenThere(async () => {
    const headers = last === undefined ? {} : { 'last-event-id': last };
    for await (const event of await compute.orderLogEvents({ params, headers }, { signal })) {
      last = event.id;
      const { step, stream, text } = event.data;
      if (step !== 'train' || stream !== 'stdout') continue;
      for (const line of text.trimEnd().split('\n'))
        show(title, styleText('dim', line.replace(/^[\w-]+: /, '')));
    }
  }, signal);
  const { result, attempts } = await whenThere(() => compute.getOrder({ params }, { signal }), signal);
  const seconds = attempts.flatMap((attempt) => attempt.steps).reduce((sum, step) => sum + step.seconds, 0);
  const perf = result?.performance?.perf.toFixed(4);
  show(title, styleText('green', `✔ accuracy ${perf} on the test data, ${seconds.toFixed(1)} s`));
}

/** Does it, again where the service is away: one that follows its sources starts again when they change. */
async function whenThere<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return await retry(work, {
    ...{ firstMs: LOOK_EVERY_MS, mostMs: LOOK_EVERY_MS, jitter: 0, signal },
    retryIf: (error) => isPlatformError(error, 'unavailable'),
  });
}

function refuseFailures(items: readonly OrderSummary[]): void {
  for (const { status, failure, id } of items) {
    if (status === 'failed') throw new Error(`training ${id} failed: ${failure?.message}`);
  }
}

function show(title: string, text: string): void {
  process.stdout.write(`${title}  ${text}\n`);
}
