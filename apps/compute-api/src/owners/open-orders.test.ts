import type { PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { ComputeDatabase } from '../db/database.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { OpenOrders } from './open-orders.ts';

const ada = { principal: { name: 'ada', roles: ['orchestrator' as const] } };
const bob = { principal: { name: 'bob', roles: ['orchestrator' as const] } };

testOnEngines(
  'An owner with as many open orders as are allowed is refused more, and others are not',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ openOrders: 2 });
    const { api } = compute;
    const first = aLearnuplet();
    await api.learn({ body: first }, ada);
    await api.pred({ body: aPreduplet() }, ada);
    const refusal = {
      code: 'rate_limited',
      message:
        /^ada has 2 open orders, and may have 2 \(--open-orders.*Wait until some have ended, or cancel/,
    };
    const refused = await t.throwsAsync<PlatformError>(api.learn({ body: aLearnuplet() }, ada), refusal);
    t.deepEqual(refused.details, { retry_after: 10 });
    await t.throwsAsync(api.pred({ body: aPreduplet() }, ada), refusal);
    await t.throwsAsync(api.learn({ body: aLearnuplet({ owner: 'ada' }) }, bob), refusal, 'in her name');
    await t.notThrowsAsync(api.learn({ body: aLearnuplet() }, bob));
    await t.notThrowsAsync(api.learn({ body: first }, ada), 'the same order');
    await t.throwsAsync(api.learn({ body: { ...first, rank: 1 } }, ada), { code: 'conflict' });
    t.is((await api.listOrders({ query: { owner: 'ada' } })).total, 2);
  },
);

testOnEngines(
  'Of many orders that come together, as many as are allowed are taken',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ openOrders: 3 });
    const bodies = Array.from({ length: 12 }, () => aLearnuplet());
    const posts = await Promise.allSettled(
      bodies.map(async (body) => await compute.unchecked.learn({ body }, ada)),
    );
    t.is(posts.filter(({ status }) => status === 'fulfilled').length, 3);
    t.is((await compute.api.listOrders({ query: {} })).total, 3);
  },
);

testOnEngines('An owner has room again when orders have ended', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ openOrders: 1 });
  const { api } = compute;
  const [first, next] = [aLearnuplet(), aLearnuplet()];
  await api.learn({ body: first }, ada);
  await api.cancelOrder({ params: { id: first.uuid } }, ada);
  await untilLetIn(t, async () => await api.learn({ body: next }, ada));
  t.is((await api.listOrders({ query: { status: 'todo' } })).total, 1);
});

testOnEngines('An order is not retried beyond the bound', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ openOrders: 1 });
  const { api } = compute;
  const [cancelled, open] = [aLearnuplet(), aLearnuplet()];
  const params = { id: cancelled.uuid };
  await api.learn({ body: cancelled }, ada);
  await api.cancelOrder({ params }, ada);
  await untilLetIn(t, async () => await api.learn({ body: open }, ada));
  await t.throwsAsync(api.retryOrder({ params }, ada), { code: 'rate_limited', message: /one more/ });
  await t.throwsAsync(api.retryOrder({ params: { id: open.uuid } }, ada), { code: 'wrong_state' });
  t.is((await api.getOrder({ params })).status, 'cancelled');
  await api.cancelOrder({ params: { id: open.uuid } }, ada);
  await untilLetIn(t, async () => await api.retryOrder({ params }, ada));
});

testOnEngines('A group is retried as a whole or not at all', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ openOrders: 3 });
  const { api } = compute;
  const group = { params: { name: 'sweep' }, query: {} };
  for (let n = 0; n < 2; n++) await api.learn({ body: aLearnuplet({ group: 'sweep' }) }, ada);
  await api.cancelOrderGroup(group, ada);
  const others = [aLearnuplet(), aLearnuplet()];
  for (const body of others) await untilLetIn(t, async () => await api.learn({ body }, ada));
  const retry = async () => await api.retryOrderGroup({ ...group, body: { cancelled: true } }, ada);
  await t.throwsAsync(retry(), { code: 'rate_limited', message: /there is no room for 2 more/ });
  t.like(await cancelledOf(compute), { total: 2 });
  for (const { uuid } of others) await api.cancelOrder({ params: { id: uuid } }, ada);
  await untilLetIn(t, retry);
  t.like(await cancelledOf(compute), { total: 0 });
});

testOnEngines('Any number of orders may be open where the bound is 0', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ openOrders: 0 });
  for (let n = 0; n < 3; n++) await t.notThrowsAsync(compute.api.learn({ body: aLearnuplet() }, ada));
});

testOnEngines(
  'What another service takes in is counted within a second, and not more often',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    let now = 0;
    const database = new ComputeDatabase(compute.database, []);
    const openOrders = new OpenOrders({ database, most: 3, clock: () => now });
    t.is(await openOrders.room(''), 3);
    for (let n = 0; n < 3; n++) await compute.unchecked.learn({ body: aLearnuplet() });
    now += 999;
    t.is(await openOrders.room(''), 3);
    now += 2;
    t.is(await openOrders.room(''), 0);
    t.is((await openOrders.place('')).refusal?.code, 'rate_limited');
    t.is(await openOrders.room('ada'), 3);
  },
);

testOnEngines('A place that is not used is there again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const database = new ComputeDatabase(compute.database, []);
  const openOrders = new OpenOrders({ database, most: 2, clock: () => 0 });
  {
    using place = await openOrders.place('');
    t.is(place.refusal, undefined);
    t.is(await openOrders.room(''), 1);
  }
  t.is(await openOrders.room(''), 2);
  {
    using place = await openOrders.place('');
    place.keep();
  }
  t.is(await openOrders.room(''), 1);
});

/** As clients do that are refused for now: orders that ended are seen by the next count. */
async function untilLetIn(t: ExecutionContext, call: () => Promise<unknown>): Promise<void> {
  await eventually(t, async (t) => await t.notThrowsAsync(call()));
}

async function cancelledOf({ api }: TestCompute) {
  return await api.listOrders({ query: { group: 'sweep', status: 'cancelled' } }, ada);
}
