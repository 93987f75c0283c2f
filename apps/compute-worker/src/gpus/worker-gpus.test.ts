import { PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import fc from 'fast-check';
import type { DummyCall, DummyRuntimeOptions } from '../runtime/dummy/index.ts';
import { someGpus } from '../testing/gpus.ts';
import { MemoryCompute } from '../testing/memory-compute.ts';
import { failureOf, openTestWorker, reportOf } from '../testing/test-worker.ts';

const SLOTS = { learn: 3, predict: 3 };

test('A worker tells which GPUs it has when it registers', async (t) => {
  await using setup = await openTestWorker({ machineGpus: someGpus(2), gpus: ['1'], gpuSlots: 4 });
  await setup.worker.settle();
  const [device] = someGpus(2)
    .slice(1)
    .map(({ id, name, memoryBytes }) => ({ id, name, memory_bytes: memoryBytes }));
  t.like(setup.compute.registrations[0], { gpus: { devices: [device], slots: 4 } });
});

test('The algorithm, or the job, gets the GPUs of its order and the problem none', async (t) => {
  await using setup = await openTestWorker({ machineGpus: someGpus(2) });
  const [learn, predict, without] = [setup.learn({ gpus: 2 }), setup.predict({ gpus: 1 }), setup.learn()];
  const job = setup.job({ gpus: 2 });
  await setup.worker.settle();
  for (const order of [learn, predict, without, job]) t.is(reportOf(order).outcome, 'done');
  const given = setup.dummy.calls.flatMap(({ step, spec }) =>
    spec === undefined ? [] : [`${spec.labels.order} ${step} ${spec.gpus?.length}`],
  );
  t.deepEqual(
    given.toSorted(byText),
    [
      ...[`${learn.id} detarget 0`, `${learn.id} train 2`, `${learn.id} perf 0`],
      ...[`${without.id} detarget 0`, `${without.id} train 0`, `${without.id} perf 0`],
      ...[`${predict.id} predict 1`, `${job.id} job 2`],
    ].toSorted(byText),
  );
  t.true(learn.log.some(({ text }) => text.includes('leased 0: NVIDIA Fake 9000')));
});

test('Orders at once have different GPUs and the next one waits', async (t) => {
  const compute = quicklyRenewing();
  await using setup = await openTestWorker({ ...together(2), compute, machineGpus: someGpus(2) });
  const [first, second, third] = [
    setup.learn({ gpus: 1 }),
    setup.learn({ gpus: 1 }),
    setup.learn({ gpus: 1 }),
  ];
  await eventually(t, (inner) => inner.is(trainings(setup).length, 2));
  t.is(new Set(trainings(setup).flatMap(({ spec }) => spec?.gpus ?? [])).size, 2);
  t.is(third.status, 'todo');
  for (const order of [first, second]) order.status = 'cancelled';
  await setup.worker.settle();
  t.is(reportOf(third).outcome, 'done');
  t.deepEqual(setup.dummy.misuses, []);
});

test('Slots let orders share a GPU', async (t) => {
  const compute = quicklyRenewing();
  await using setup = await openTestWorker({
    ...together(3),
    compute,
    machineGpus: someGpus(1),
    gpuSlots: 3,
  });
  const orders = [setup.learn({ gpus: 1 }), setup.learn({ gpus: 1 }), setup.learn({ gpus: 1 })];
  await eventually(t, (inner) => inner.is(trainings(setup).length, 3));
  for (const order of orders) order.status = 'cancelled';
  await setup.worker.settle();
});

test('A worker leaves an order that asks for more GPUs than are free', async (t) => {
  await using setup = await openTestWorker({ slots: SLOTS, machineGpus: someGpus(2) });
  const [big, none] = [setup.learn({ gpus: 3 }), setup.learn()];
  await setup.worker.settle();
  t.is(big.status, 'todo');
  t.is(reportOf(none).outcome, 'done');
});

test('A worker whose GPUs cannot be found runs what needs none', async (t) => {
  const machineGpus = new PlatformError('unavailable', 'The driver is not loaded.');
  await using setup = await openTestWorker({ machineGpus });
  const [one, none] = [setup.learn({ gpus: 1 }), setup.learn()];
  await setup.worker.settle();
  t.is(one.status, 'todo');
  t.is(reportOf(none).outcome, 'done');
});

test('An order that the worker has no GPU for all the same is given up as our error', async (t) => {
  const compute = new MemoryCompute();
  await using setup = await openTestWorker({ compute, machineGpus: someGpus(1) });
  compute.gpusOf = () => 2;
  const order = setup.learn();
  await setup.worker.settle();
  const message = 'The order asks for 2 GPUs, and the worker that took it has 1 free.';
  t.like(failureOf(order, 'error'), { reason: 'internal', message });
});

test('GPUs are free again after a run that was cancelled', async (t) => {
  await using setup = await openTestWorker({
    ...together(1),
    compute: quicklyRenewing(),
    machineGpus: someGpus(1),
  });
  const first = setup.learn({ gpus: 1 });
  await eventually(t, (inner) => inner.is(trainings(setup).length, 1));
  first.status = 'cancelled';
  const second = setup.learn({ gpus: 1 });
  await eventually(t, (inner) => inner.is(reportOf(second).outcome, 'done'));
});

const behaviour = fc.constantFrom(
  {},
  { sleep_ms: 2 },
  { exit: 1 },
  { throw: 'unavailable' as const },
  { ended: 'out_of_memory' as const },
  { idle: true },
);
const order = fc.record({
  kind: fc.constantFrom('learn' as const, 'predict' as const),
  gpus: fc.nat({ max: 3 }),
});

test('Whatever orders ask for and however they end, no GPU is given twice and all come back', async (t) => {
  t.timeout(300_000);
  const world = fc.record({
    gpus: fc.nat({ max: 3 }),
    gpuSlots: fc.integer({ min: 1, max: 2 }),
    orders: fc.array(order, { minLength: 1, maxLength: 8 }),
    behaviours: fc.array(behaviour, { minLength: 1, maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(world, async ({ gpus, gpuSlots, orders, behaviours }) => {
      const script: DummyRuntimeOptions['script'] = ({ nth }) => behaviours[nth % behaviours.length];
      const compute = new MemoryCompute();
      const machineGpus = someGpus(gpus);
      await using setup = await openTestWorker({ compute, slots: SLOTS, machineGpus, gpuSlots, script });
      const placed = orders.map(({ kind, gpus }) => setup[kind]({ gpus }));
      await setup.worker.settle();
      const misuse = setup.dummy.misuses[0];
      if (misuse !== undefined) throw new Error(misuse);
      for (const { status, spec } of placed) {
        const runs = (spec.uplet.gpus ?? 0) <= gpus;
        if (status !== (runs ? 'ended' : 'todo')) throw new Error(`An order is ${status}`);
      }
      if (compute.freeGpus.at(-1) !== gpus) throw new Error(`${compute.freeGpus.at(-1)} of ${gpus} are free`);
    }),
    { numRuns: 40 },
  );
  t.pass();
});

/** The first so many trainings go on until their orders are cancelled. */
function together(count: number) {
  const script: DummyRuntimeOptions['script'] = ({ step, nth }) =>
    step === 'train' && nth < count ? { sleep_ms: 600_000 } : undefined;
  return { script, slots: SLOTS, pollMs: 20 };
}

function quicklyRenewing(): MemoryCompute {
  const compute = new MemoryCompute();
  compute.terms = { lease_ms: 30_000, renew_ms: 20 };
  return compute;
}

function trainings({ dummy }: Awaited<ReturnType<typeof openTestWorker>>): readonly DummyCall[] {
  return dummy.calls.filter(({ step }) => step === 'train');
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
