import { randomUUID } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { openMemoryBroker } from '@morpheo/service/broker';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { DummyBehaviour } from './container-runtime/dummy.ts';
import { openBench, reportOf } from './testing/bench.ts';
import { MemoryCompute } from './testing/memory-compute.ts';
import { MemoryStorage } from './testing/memory-storage.ts';
import { startWorker } from './worker.ts';

const FOR_LONG: DummyBehaviour = { sleep_ms: 600_000 };
const away = new PlatformError('unavailable', 'compute-api is away.');

test('A worker registers with what it is', async (t) => {
  await using bench = await openBench({ slots: { learn: 2, predict: 3 } });
  await bench.worker.settle();
  t.like(bench.compute.registrations[0], { name: 'test', runtime: 'dummy', slots: { learn: 2, predict: 3 } });
  await t.notThrowsAsync(bench.worker.ping());
});

test('A worker that starts before compute-api registers later', async (t) => {
  const compute = new MemoryCompute();
  compute.fault = () => away;
  await using bench = await openBench({ compute });
  await eventually(t, (inner) => inner.true(compute.count('registerWorker') > 0));
  await t.throwsAsync(bench.worker.ping(), { code: 'unavailable' });
  const order = bench.learn();
  compute.fault = () => undefined;
  await bench.worker.settle();
  t.is(reportOf(order).outcome, 'done');
});

test('A worker that hears nothing finds orders by asking', async (t) => {
  await using bench = await openBench({ pollMs: 20 });
  await bench.worker.settle();
  const order = bench.learn();
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
});

test('A message of the broker wakes the worker', async (t) => {
  await using broker = openMemoryBroker();
  await using bench = await openBench({ broker });
  await bench.worker.settle();
  const order = bench.learn();
  await broker.publish('train', JSON.stringify(order.spec.uplet));
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
});

test('Odd messages of the broker do no harm', async (t) => {
  await using broker = openMemoryBroker();
  await using bench = await openBench({ broker });
  await bench.worker.settle();
  for (const message of ['null', 'nonsense', '{"uuid":7}', '[]', `{"uuid":"${randomUUID()}"}`]) {
    await broker.publish('train', message);
    await broker.publish('cancel', message);
  }
  const order = bench.learn();
  await broker.publish('train', JSON.stringify(order.spec.uplet));
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
  t.deepEqual(
    bench.log.entries.filter(({ level }) => level === 'error'),
    [],
  );
});

test('No more orders of a kind run than there are slots', async (t) => {
  const now = { learn: 0, predict: 0 };
  const most = { learn: 0, predict: 0 };
  await using bench = await openBench({
    slots: { learn: 2, predict: 1 },
    script: ({ step }) => {
      const kind = step === 'predict' ? 'predict' : 'learn';
      if (step !== 'predict' && step !== 'train') return undefined;
      now[kind] += 1;
      most[kind] = Math.max(most[kind], now[kind]);
      setTimeout(() => {
        now[kind] -= 1;
      }, 20);
      return { sleep_ms: 30 };
    },
  });
  const orders = [1, 2, 3, 4, 5].flatMap(() => [bench.learn(), bench.predict()]);
  await bench.worker.settle();
  t.true(orders.every((order) => reportOf(order).outcome === 'done'));
  t.deepEqual(most, { learn: 2, predict: 1 });
});

test('A worker without slots for a kind leaves it to others', async (t) => {
  await using bench = await openBench({ slots: { learn: 0, predict: 1 } });
  const [learn, predict] = [bench.learn(), bench.predict()];
  await bench.worker.settle();
  t.is(learn.status, 'todo');
  t.is(reportOf(predict).outcome, 'done');
});

test('A cancelled order is stopped at once and nothing is reported', async (t) => {
  await using broker = openMemoryBroker();
  await using bench = await openBench({ broker, script: { train: FOR_LONG } });
  const order = bench.learn();
  await broker.publish('train', JSON.stringify(order.spec.uplet));
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  order.status = 'cancelled';
  await broker.publish('cancel', order.id);
  await bench.worker.settle();
  t.deepEqual(order.reports, []);
  t.deepEqual(await bench.workspaces(), []);
  t.is(bench.storage.staged.size, 0);
});

test('An attempt whose lease is lost is stopped and nothing is reported', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  await using bench = await openBench({
    compute,
    pollMs: 20,
    script: ({ nth, step }) => (step === 'train' && nth === 0 ? FOR_LONG : undefined),
  });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(bench.dummy.calls.some(({ step }) => step === 'train')));
  order.attempt = 2;
  order.status = 'todo';
  await eventually(t, (inner) => inner.is(order.reports.length, 1));
  t.is(order.attempt, 3);
  t.is(reportOf(order).outcome, 'done');
});

test('Attempts end when compute-api has been away for too long', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 300, renew_ms: 20 };
  await using bench = await openBench({ compute, pollMs: 20, script: { train: FOR_LONG } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  compute.fault = () => away;
  await bench.worker.drain();
  t.deepEqual(order.reports, []);
  t.deepEqual(await bench.workspaces(), []);
});

test('A compute-api that is away for a moment costs no work', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 10 };
  await using bench = await openBench({ compute, pollMs: 20, script: { train: { sleep_ms: 150 } } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  compute.fault = () => away;
  await eventually(t, (inner) => inner.true(compute.count('renewLeases') > 2));
  setTimeout(() => {
    compute.fault = () => undefined;
  }, 300);
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
  t.is(order.attempt, 1);
});

test('A worker that compute-api has forgotten registers again', async (t) => {
  await using bench = await openBench();
  await bench.worker.settle();
  bench.compute.boot = undefined;
  const order = bench.learn();
  await bench.worker.settle();
  t.is(bench.compute.registrations.length, 2);
  t.is(reportOf(order).outcome, 'done');
});

test('A worker whose id another process took over stops with an error', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  await using bench = await openBench({ compute, pollMs: 20, script: { train: FOR_LONG } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  compute.boot = randomUUID();
  await t.throwsAsync(bench.worker.stopped, { code: 'stale_attempt' });
  await bench.worker.drain();
  t.deepEqual(order.reports, []);
  t.deepEqual(await bench.workspaces(), []);
});

test('Draining waits for what runs and takes nothing new', async (t) => {
  await using bench = await openBench({ pollMs: 10, script: { train: { sleep_ms: 100 } } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  const late = bench.learn();
  await bench.worker.drain();
  t.is(reportOf(order).outcome, 'done');
  t.is(late.status, 'todo');
});

test('Draining gives back what has not ended after the grace time', async (t) => {
  await using bench = await openBench({ pollMs: 10, graceMs: 50, script: { train: FOR_LONG } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  await bench.worker.drain();
  t.deepEqual(order.reports, [{ outcome: 'released' }]);
  t.deepEqual(await bench.workspaces(), []);
});

test('An order can be cancelled while the worker drains', async (t) => {
  await using broker = openMemoryBroker();
  await using bench = await openBench({ broker, pollMs: 10, graceMs: 600_000, script: { train: FOR_LONG } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  const drained = bench.worker.drain();
  order.status = 'cancelled';
  await broker.publish('cancel', order.id);
  await drained;
  t.deepEqual(order.reports, []);
});

test('Closing gives back what runs at once and can be done twice', async (t) => {
  const bench = await openBench({ pollMs: 10, script: { train: FOR_LONG } });
  const order = bench.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  await Promise.all([bench.worker.drain(), bench.worker[Symbol.asyncDispose]()]);
  t.deepEqual(order.reports, [{ outcome: 'released' }]);
  t.deepEqual(await bench.workspaces(), []);
  await bench.worker.stopped;
  await bench.worker[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

test('A worker that starts removes what its dead self left', async (t) => {
  await using bench = await openBench();
  await bench.worker[Symbol.asyncDispose]();
  const left = join(bench.folder, 'work', 'old.1', 'train');
  await mkdir(left, { recursive: true });
  await writeFile(join(left, 'file'), 'x');
  await chmod(left, 0);
  const [compute, storage] = [new MemoryCompute(), new MemoryStorage()];
  const recovered: string[] = [];
  const runtime = { ...stub(bench.dummy), recover: async () => void recovered.push('recovered') };
  const options = { folder: bench.folder, name: 'again', slots: { learn: 1, predict: 1 }, log: bench.log };
  await using again = await startWorker({ compute: compute.api, storage: storage.api, runtime, ...options });
  t.is(again.id, bench.worker.id);
  t.deepEqual(recovered, ['recovered']);
  t.deepEqual(await bench.workspaces(), []);
  await again.settle();
});

function stub(runtime: { ping(): Promise<void> }) {
  const refuse = async () => Promise.reject(new Error('nothing is run here'));
  return {
    name: 'dummy' as const,
    isolates: true,
    prepare: refuse,
    run: refuse,
    ping: async () => await runtime.ping(),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
