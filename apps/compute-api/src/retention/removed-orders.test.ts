import { randomUUID } from 'node:crypto';
import { eventually } from '@morpheo/service/testing';
import { testOnEngines } from '../testing/on-engines.ts';
import { age, ended, remaining, retentionOf, rowCounts } from '../testing/retention.ts';

testOnEngines('The same order sent again after its removal is not run again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const body = await ended(t, compute);
  await age(compute, 2, body.uuid);
  await retentionOf(compute).remove();
  const before = await rowCounts(compute);
  await api.learn({ body });
  t.deepEqual(await rowCounts(compute), before);
  await t.throwsAsync(api.learn({ body: { ...body, algo: randomUUID() } }), { code: 'conflict' });
  t.deepEqual(await rowCounts(compute), before);
  const params = { id: body.uuid };
  const gone = { code: 'not_found', message: /There is no order .* any more: it had ended, and was removed/ };
  await t.throwsAsync(api.getOrder({ params }), gone);
  await t.throwsAsync(api.retryOrder({ params }), gone);
});

testOnEngines(
  'An order is never run twice that is sent again while it is removed',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const body = await ended(t, compute);
    await age(compute, 2, body.uuid);
    const sendings = Array.from({ length: 10 }, async () => await compute.api.learn({ body }));
    await Promise.all([retentionOf(compute).remove(), ...sendings]);
    await eventually(t, async (t) => {
      await retentionOf(compute).remove();
      t.like(await rowCounts(compute), { orders: 0, events: 0, outbox: 0, removed_orders: 1 });
    });
  },
);

testOnEngines(
  'That an order was removed is forgotten in the end, and then its id is free',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const body = await ended(t, compute);
    await age(compute, 2, body.uuid);
    await retentionOf(compute).remove();
    const forgetful = retentionOf(compute, { idsMs: -1000 });
    t.like(await forgetful.plan(), { ids: 1 });
    t.like(await forgetful.remove(), { ids: 1 });
    t.like(await rowCounts(compute), { removed_orders: 0 });
    await compute.api.learn({ body });
    t.deepEqual(await remaining(compute, [body.uuid]), [body.uuid]);
  },
);

testOnEngines('A group is forgotten once it has no orders and is old', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const group = 'sweep';
  const { uuid } = await ended(t, compute, undefined, { group });
  const forgetful = retentionOf(compute, { idsMs: -1000 });
  const groups = async () => (await compute.api.listOrderGroups({ query: {} })).total;
  t.like(await forgetful.remove(), { groups: 0 });
  t.is(await groups(), 1, 'it has an order');
  await age(compute, 2, uuid);
  t.like(await retentionOf(compute).remove(), { orders: { learn: 1 }, groups: 0 });
  t.is(await groups(), 1, 'it is young');
  t.like(await forgetful.plan(), { groups: 1 });
  t.like(await forgetful.remove(), { groups: 1 });
  t.is(await groups(), 0);
});
