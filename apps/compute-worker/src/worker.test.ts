import { randomUUID } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError, sleep } from '@morpheo/common';
import { openMemoryBroker } from '@morpheo/service/broker';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { takeIdentity } from './agent/identity.ts';
import type { DummyBehaviour } from './runtime/dummy/index.ts';
import type { RunSpec } from './runtime/index.ts';
import { MemoryCompute } from './testing/memory-compute.ts';
import { MemoryStorage } from './testing/memory-storage.ts';
import { openTestWorker, reportOf } from './testing/test-worker.ts';
import { startWorker } from './worker.ts';

const FOR_LONG: DummyBehaviour = { sleep_ms: 600_000 };
const away = new PlatformError('unavailable', 'compute-api is away.');

test('A worker registers with what it is', async (t) => {
  await using setup = await openTestWorker({ slots: { learn: 2, predict: 3 } });
  await setup.worker.settle();
  t.like(setup.compute.registrations[0], { name: 'test', runtime: 'dummy', slots: { learn: 2, predict: 3 } });
  await t.notThrowsAsync(setup.worker.ping());
});

test('A worker that starts before compute-api registers later', async (t) => {
  const compute = new MemoryCompute();
  compute.fault = () => away;
  await using setup = await openTestWorker({ compute });
  await eventually(t, (inner) => inner.true(compute.count('registerWorker') > 0));
  await t.throwsAsync(setup.worker.ping(), { code: 'unavailable' });
  const order = setup.learn();
  compute.fault = () => undefined;
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
});

test('A worker without wake-ups finds orders by polling', async (t) => {
  await using setup = await openTestWorker({ pollMs: 20 });
  await setup.worker.settle();
  const order = setup.learn();
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
});

test('A message of the broker wakes the worker', async (t) => {
  await using broker = openMemoryBroker();
  await using setup = await openTestWorker({ broker });
  await setup.worker.settle();
  const order = setup.learn();
  await broker.publish('train', JSON.stringify(order.spec.uplet));
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
});

test('Odd messages of the broker do no harm', async (t) => {
  await using broker = openMemoryBroker();
  await using setup = await openTestWorker({ broker });
  await setup.worker.settle();
  for (const message of ['null', 'nonsense', '{"uuid":7}', '[]', `{"uuid":"${randomUUID()}"}`]) {
    await broker.publish('train', message);
    await broker.publish('cancel', message);
  }
  const order = setup.learn();
  await broker.publish('train', JSON.stringify(order.spec.uplet));
  await eventually(t, (inner) => inner.is(reportOf(order).outcome, 'done'));
  t.deepEqual(
    setup.log.entries.filter(({ level }) => level === 'error'),
    [],
  );
});

test('No more orders of a kind run than there are slots', async (t) => {
  const now = { learn: 0, predict: 0 };
  const most = { learn: 0, predict: 0 };
  const together = Promise.withResolvers<void>();
  let trainings = 0;
  await using setup = await openTestWorker({
    slots: { learn: 2, predict: 1 },
    before: async ({ labels: { step } }) => {
      const kind = step === 'predict' ? 'predict' : 'learn';
      if (step !== 'predict' && step !== 'train') return;
      now[kind] += 1;
      most[kind] = Math.max(most[kind], now[kind]);
      // The first training goes on until another runs beside it.
      if (step === 'train') trainings += 1;
      if (trainings === 2) together.resolve();
      if (step === 'train') await together.promise;
      await sleep(20);
      now[kind] -= 1;
    },
  });
  const orders = [1, 2, 3, 4, 5].flatMap(() => [setup.learn(), setup.predict()]);
  await setup.worker.settle();
  t.true(orders.every((order) => reportOf(order).outcome === 'done'));
  t.deepEqual(most, { learn: 2, predict: 1 });
});

test('A worker without slots for a kind leaves it to others', async (t) => {
  await using setup = await openTestWorker({ slots: { learn: 0, predict: 1 } });
  const [learn, predict] = [setup.learn(), setup.predict()];
  await setup.worker.settle();
  t.is(learn.status, 'todo');
  t.is(reportOf(predict).outcome, 'done');
});

test('A cancelled order is stopped at once and nothing is reported', async (t) => {
  await using broker = openMemoryBroker();
  await using setup = await openTestWorker({ broker, script: { train: FOR_LONG } });
  const order = setup.learn();
  await broker.publish('train', JSON.stringify(order.spec.uplet));
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  order.status = 'cancelled';
  await broker.publish('cancel', order.id);
  await setup.worker.settle();
  t.deepEqual(order.reports, []);
  t.deepEqual(await setup.workspaces(), []);
  t.is(setup.storage.staged.size, 0);
});

test('An attempt whose lease is lost is stopped and nothing is reported', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  await using setup = await openTestWorker({
    compute,
    pollMs: 20,
    script: ({ nth, step }) => (step === 'train' && nth === 0 ? FOR_LONG : undefined),
  });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(setup.dummy.calls.some(({ step }) => step === 'train')));
  order.attempt = 2;
  order.status = 'todo';
  await eventually(t, (inner) => inner.is(order.reports.length, 1));
  t.is(order.attempt, 3);
  t.is(reportOf(order).outcome, 'done');
});

test('Attempts end when compute-api has been away for too long', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  await using setup = await openTestWorker({ compute, pollMs: 20, script: { train: FOR_LONG } });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  compute.terms = { lease_ms: 300, renew_ms: 20 };
  const before = compute.count('renewLeases');
  await eventually(t, (inner) => inner.true(compute.count('renewLeases') > before + 1));
  compute.fault = () => away;
  await setup.worker.drain();
  t.deepEqual(order.reports, []);
  t.deepEqual(await setup.workspaces(), []);
});

test('A compute-api that is away for a moment costs no work', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 10 };
  await using setup = await openTestWorker({ compute, pollMs: 20, script: { train: { sleep_ms: 150 } } });
  const order = setup.learn();
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
  await using setup = await openTestWorker();
  await setup.worker.settle();
  setup.compute.boot = undefined;
  const order = setup.learn();
  await setup.worker.settle();
  t.is(setup.compute.registrations.length, 2);
  t.is(reportOf(order).outcome, 'done');
});

test('A worker whose id another process took over stops with an error', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  await using setup = await openTestWorker({ compute, pollMs: 20, script: { train: FOR_LONG } });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  compute.boot = randomUUID();
  await t.throwsAsync(setup.worker.stopped, { code: 'stale_attempt' });
  await setup.worker.drain();
  t.deepEqual(order.reports, []);
  t.deepEqual(await setup.workspaces(), []);
});

test('A worker whose id another process took over is another worker at its next start', async (t) => {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  await using setup = await openTestWorker({ compute, pollMs: 20 });
  await setup.worker.settle();
  compute.boot = randomUUID();
  await t.throwsAsync(setup.worker.stopped, { code: 'stale_attempt' });
  await setup.worker[Symbol.asyncDispose]();
  await using next = await takeIdentity(setup.folder);
  t.not(next.id, setup.worker.id);
});

test('Draining waits for what runs and takes nothing new', async (t) => {
  const gate = Promise.withResolvers<void>();
  const before = async ({ labels: { step } }: RunSpec) => (step === 'train' ? await gate.promise : undefined);
  await using setup = await openTestWorker({ pollMs: 10, before });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  const late = setup.learn();
  const drained = setup.worker.drain();
  gate.resolve();
  await drained;
  t.is(reportOf(order).outcome, 'done');
  t.is(late.status, 'todo');
});

test('Draining gives back what has not ended after the grace time', async (t) => {
  await using setup = await openTestWorker({ pollMs: 10, graceMs: 50, script: { train: FOR_LONG } });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  await setup.worker.drain();
  t.deepEqual(order.reports, [{ outcome: 'released' }]);
  t.deepEqual(await setup.workspaces(), []);
});

test('An order can be cancelled while the worker drains', async (t) => {
  await using broker = openMemoryBroker();
  await using setup = await openTestWorker({
    broker,
    pollMs: 10,
    graceMs: 600_000,
    script: { train: FOR_LONG },
  });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  const drained = setup.worker.drain();
  order.status = 'cancelled';
  await broker.publish('cancel', order.id);
  await drained;
  t.deepEqual(order.reports, []);
});

test('Closing gives back what runs at once and can be done twice', async (t) => {
  const setup = await openTestWorker({ pollMs: 10, script: { train: FOR_LONG } });
  const order = setup.learn();
  await eventually(t, (inner) => inner.true(order.started.includes('train')));
  await Promise.all([setup.worker.drain(), setup.worker[Symbol.asyncDispose]()]);
  t.deepEqual(order.reports, [{ outcome: 'released' }]);
  t.deepEqual(await setup.workspaces(), []);
  await setup.worker.stopped;
  await setup.worker[Symbol.asyncDispose]();
  await setup[Symbol.asyncDispose]();
});

test('A worker that starts removes the workspaces of a dead process', async (t) => {
  await using setup = await openTestWorker();
  await setup.worker[Symbol.asyncDispose]();
  const left = join(setup.folder, 'work', 'old.1', 'train');
  await mkdir(left, { recursive: true });
  await writeFile(join(left, 'file'), 'x');
  await chmod(left, 0);
  const [compute, storage] = [new MemoryCompute(), new MemoryStorage()];
  const recovered: string[] = [];
  const runtime = { ...stub(setup.dummy), recover: async () => void recovered.push('recovered') };
  const options = { folder: setup.folder, name: 'again', slots: { learn: 1, predict: 1 }, log: setup.log };
  await using again = await startWorker({
    compute: compute.api,
    openStorage: () => storage.api,
    runtime,
    ...options,
  });
  t.is(again.id, setup.worker.id);
  t.deepEqual(recovered, ['recovered']);
  t.deepEqual(await setup.workspaces(), []);
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
