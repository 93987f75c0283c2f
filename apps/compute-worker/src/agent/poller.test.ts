import test from 'ava';
import { openTestWorker, reportOf } from '../testing/test-worker.ts';

test('A worker claims all that it has room for in one call', async (t) => {
  await using setup = await openTestWorker({ slots: { learn: 2, predict: 2 } });
  await setup.worker.settle();
  setup.compute.handedOut.length = 0;
  const orders = [setup.learn(), setup.learn(), setup.predict()];
  await setup.worker.settle();
  t.deepEqual(
    orders.map((order) => reportOf(order).outcome),
    ['done', 'done', 'done'],
  );
  t.deepEqual(
    orders.map(({ attempt }) => attempt),
    [1, 1, 1],
  );
  t.deepEqual(
    setup.compute.handedOut.filter((orders) => orders > 0),
    [3],
  );
});

test('An earlier compute-api is asked again until it hands out no more', async (t) => {
  await using setup = await openTestWorker({ slots: { learn: 2, predict: 2 } });
  setup.compute.handsOutSeveral = false;
  await setup.worker.settle();
  const orders = [setup.learn(), setup.learn(), setup.predict()];
  await setup.worker.settle();
  t.deepEqual(
    orders.map((order) => reportOf(order).outcome),
    ['done', 'done', 'done'],
  );
});
