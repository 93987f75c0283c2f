import { PlatformError } from '@morpheo/common';
import { testOnEngines } from '../testing/on-engines.ts';
import { away, type TestCompute } from '../testing/open-test-compute.ts';
import { age, ended, predicted, remaining, retentionOf } from '../testing/retention.ts';

/** What is removed on a storage that answers so. */
function removingOutputs(compute: TestCompute, answer: (order: string) => PlatformError | undefined) {
  const asked: string[] = [];
  const removeResult = async ({ params: { order } }: { readonly params: { readonly order: string } }) => {
    asked.push(order);
    const error = answer(order);
    if (error !== undefined) throw error;
    return undefined;
  };
  return { asked, retention: retentionOf(compute, { removeOutputs: true }, { storage: { removeResult } }) };
}

testOnEngines(
  'Where the operator says so, what orders made goes from storage before they go',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [failed, done] = [await ended(t, compute), await ended(t, compute, 0.5)];
    const prediction = await predicted(t, compute, done.model_end);
    const ids = [failed.uuid, done.uuid, prediction];
    await age(compute, 2, ...ids);
    const { asked, retention } = removingOutputs(compute, () => undefined);
    t.like(await retention.remove(), { outputs: { count: 1, bytes: 1 } });
    t.deepEqual(asked, [prediction], 'what has made a model that is named stays with it');
    t.like(await retention.remove(), { outputs: { count: 1, bytes: 1 } });
    t.deepEqual(asked, [prediction, done.uuid]);
    t.deepEqual(await remaining(compute, ids), []);
  },
);

testOnEngines('Unless the operator says so, nothing goes from storage', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { uuid } = await ended(t, compute, 0.5);
  await age(compute, 2, uuid);
  const removeResult = async () => t.fail();
  const storage = { removeResult: async () => void (await removeResult()) };
  t.like(await retentionOf(compute, {}, { storage }).remove(), { outputs: { count: 0, bytes: 0 } });
  t.deepEqual(await remaining(compute, [uuid]), []);
});

testOnEngines(
  'An order stays whose output something on storage refers to; one whose output is gone goes',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [used, gone] = [await ended(t, compute, 0.5), await ended(t, compute, 0.5)];
    await age(compute, 2, used.uuid, gone.uuid);
    const { retention } = removingOutputs(compute, (order) =>
      order === used.uuid ? new PlatformError('in_use', 'Used.') : new PlatformError('not_found', 'Gone.'),
    );
    t.like(await retention.remove(), { orders: { learn: 1 }, outputs: { count: 0, bytes: 0 } });
    t.deepEqual(await remaining(compute, [used.uuid, gone.uuid]), [used.uuid]);
  },
);

testOnEngines(
  'While storage is away, orders with outputs stay, others go, and later all do',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [failed, done] = [await ended(t, compute), await ended(t, compute, 0.5)];
    const ids = [failed.uuid, done.uuid];
    await age(compute, 2, ...ids);
    await removingOutputs(compute, () => away()).retention.remove();
    t.deepEqual(await remaining(compute, ids), [done.uuid]);
    await removingOutputs(compute, () => undefined).retention.remove();
    t.deepEqual(await remaining(compute, ids), []);
  },
);
