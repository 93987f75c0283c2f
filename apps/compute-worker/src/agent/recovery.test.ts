import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { createMetrics } from '@morpheo/service/metrics';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import type { DummyRuntimeOptions } from '../runtime/dummy/index.ts';
import { someGpus } from '../testing/gpus.ts';
import { aJournal, leaveBehind, openAdoptingDummy } from '../testing/left-behind.ts';
import { MemoryCompute } from '../testing/memory-compute.ts';
import { predictOrder } from '../testing/orders.ts';
import { openTestWorker, reportOf } from '../testing/test-worker.ts';

/** How a worker died. */
interface Death extends DummyRuntimeOptions {
  /** What is to be otherwise in the record. */
  readonly record?: Record<string, unknown>;
  /** In the place of the record. */
  readonly text?: string;
  /** Whether the attempt is still the worker's own. */
  readonly left?: boolean;
  /** Whether compute-api is away. */
  readonly away?: boolean;
}

/** A worker that starts where a dead one left an attempt. */
async function openAfterDeath({ record = {}, text, left = true, away = false, ...rest }: Death) {
  const compute = new MemoryCompute();
  compute.ticketOf = (order, attempt) => `${order} ${attempt}`;
  if (away) compute.fault = () => new PlatformError('unavailable', 'Nobody answers.');
  const order = compute.place(predictOrder({ gpus: 1, model: randomUUID() }));
  order.attempt = 1;
  order.status = left ? 'pending' : 'cancelled';
  const attempt = { order: order.id, attempt: 1 };
  const dummy = openAdoptingDummy(rest);
  const metrics = createMetrics();
  const setup = await openTestWorker({
    compute,
    metrics,
    slots: { learn: 1, predict: 1 },
    openRuntime: async (folder) => {
      await leaveBehind(folder, attempt, text ?? aJournal(attempt, record));
      return dummy.runtime;
    },
  });
  return { ...setup, order, attempt, metrics, ...dummy };
}

function namedBy({ registrations }: MemoryCompute): unknown {
  return (registrations[0] as { resume?: unknown } | undefined)?.resume;
}

async function untilDiscarded(t: ExecutionContext, opened: Awaited<ReturnType<typeof openAfterDeath>>) {
  await eventually(t, async (t) => t.deepEqual(await opened.workspaces(), []));
}

test('An attempt that compute-api leaves to the worker is resumed', async (t) => {
  await using opened = await openAfterDeath({});
  await eventually(t, (t) => t.is(opened.order.reports.length, 1));
  t.deepEqual(namedBy(opened.compute), [opened.attempt]);
  t.is(reportOf(opened.order).outcome, 'failed', 'its inputs are not there');
  t.is(opened.order.attempt, 1);
  t.deepEqual(new Set(opened.storage.shown), new Set([`${opened.order.id} 1`]));
  t.regex(await opened.metrics.expose(), /^morpheo_worker_attempts_resumed_total\{kind="predict"\} 1$/m);
  await untilDiscarded(t, opened);
  t.deepEqual(opened.disowned, [opened.attempt]);
});

test('An attempt that compute-api does not leave to the worker is discarded', async (t) => {
  await using opened = await openAfterDeath({ left: false });
  await untilDiscarded(t, opened);
  t.deepEqual(opened.disowned, [opened.attempt]);
  t.is(opened.order.reports.length, 0);
});

test('The GPUs of a resumed attempt are leased again before anything is claimed', async (t) => {
  const gpus = someGpus(2);
  await using opened = await openAfterDeath({ gpus, record: { gpus: gpus.slice(1) } });
  await eventually(t, (t) => t.true(opened.order.log.some(({ text }) => /leased/.test(text))));
  await eventually(t, (t) => t.true(opened.compute.freeGpus.length > 0));
  t.regex(opened.order.log.map(({ text }) => text).join(''), /leased 1: /);
  t.is(opened.compute.freeGpus[0], 1);
});

for (const [fault, text] of [
  ['no JSON', '{'],
  ['empty', ''],
  ['of another attempt', JSON.stringify(aJournal({ order: randomUUID(), attempt: 1 }))],
  ['a list', '[]'],
  ['far too large', ' '.repeat(300_000)],
] as const) {
  test(`An attempt whose journal is ${fault} is not resumed`, async (t) => {
    await using opened = await openAfterDeath({ text });
    await eventually(t, (t) => t.is(opened.compute.registrations.length, 1));
    t.is(namedBy(opened.compute), undefined);
    t.deepEqual(await opened.workspaces(), []);
  });
}

test('An attempt whose containers had not begun is not resumed', async (t) => {
  await using opened = await openAfterDeath({ record: { steps: {} } });
  await eventually(t, (t) => t.is(opened.compute.registrations.length, 1));
  t.is(namedBy(opened.compute), undefined);
});

test('An attempt that was resumed three times within an hour is left to another worker', async (t) => {
  const now = Date.now();
  await using opened = await openAfterDeath({ record: { resumed: [now, now, now] } });
  await eventually(t, (t) => t.is(opened.compute.registrations.length, 1));
  t.is(namedBy(opened.compute), undefined);
  await using other = await openAfterDeath({ record: { resumed: [now - 7_200_000, now, now] } });
  await eventually(t, (t) => t.deepEqual(namedBy(other.compute), [other.attempt]));
});

test('An attempt that compute-api does not answer for in time is discarded', async (t) => {
  await using opened = await openAfterDeath({ record: { leaseMs: 30 }, away: true });
  await untilDiscarded(t, opened);
  t.deepEqual(opened.disowned, [opened.attempt]);
  t.is(opened.compute.registrations.length, 0);
  opened.compute.fault = () => undefined;
  await eventually(t, (t) => t.is(opened.compute.registrations.length, 1));
  t.is(namedBy(opened.compute), undefined);
});
