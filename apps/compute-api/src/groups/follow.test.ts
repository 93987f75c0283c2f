import type { Call, GroupEvent, OrderStatus } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, seedGroup } from '../testing/orders.ts';

const ann: Call = { principal: { name: 'ann', roles: ['orchestrator'], isPerson: true } };
const SWEEP = { params: { name: 'sweep' }, query: {} };
const KEY = { owner: 'ann', name: 'sweep' };

/** The states that events tell of an order, in their order, each once. */
function statesOf(events: readonly GroupEvent[], id: string): OrderStatus[] {
  const told = events.flatMap(({ orders }) => orders.filter(({ order }) => order === id));
  return told.map(({ status }) => status).filter((status, n, all) => status !== all[n - 1]);
}

testOnEngines('A group is watched until all its orders have ended', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const worker = await compute.worker({ learn: 2, predict: 0 });
  const [first, second] = [aLearnuplet({ group: 'sweep' }), aLearnuplet({ group: 'sweep' })];
  await api.learn({ body: first }, ann);
  const events: GroupEvent[] = [];
  const watching = (async () => {
    for await (const event of await api.orderGroupEvents(SWEEP, ann)) events.push(event.data);
  })();
  const tells = async (id: string, status: OrderStatus) =>
    await eventually(t, (t) => t.is(statesOf(events, id).at(-1), status));
  await tells(first.uuid, 'todo');
  // It came after the watcher.
  await api.learn({ body: second }, ann);
  await tells(second.uuid, 'todo');
  const claim = await worker.mustClaim();
  await tells(claim.order, 'pending');
  await worker.finish(claim);
  await tells(claim.order, 'done');
  t.false(events.some(({ ended }) => ended));
  await worker.fail(await worker.mustClaim());
  await watching;
  const last = events.at(-1);
  t.true(last?.ended);
  t.deepEqual(last?.counts, { waiting: 0, todo: 0, pending: 0, done: 1, failed: 1, cancelled: 0 });
  const told = events.flatMap(({ orders }) => orders);
  t.deepEqual(
    told.filter(({ status }) => status === 'done' || status === 'failed'),
    [
      { order: first.uuid, status: 'done', score: 0.5 },
      { order: second.uuid, status: 'failed', reason: 'exit_code' },
    ],
  );
});

test('Who watches a group that has ended is told the states and the end, also where it is empty', async (t) => {
  await using compute = await openTestCompute();
  const { api, database } = compute;
  const ids = await seedGroup(
    compute,
    KEY,
    Array.from({ length: 1100 }, () => 'done' as const),
  );
  const all = await Array.fromAsync(await api.orderGroupEvents(SWEEP, ann));
  t.deepEqual(
    all.map(({ id, event, data }) => [id, event, data.orders.length, data.ended]),
    [
      ['1', 'orders', 500, false],
      ['2', 'orders', 500, false],
      ['3', 'ended', 100, true],
    ],
  );
  t.deepEqual(
    all.flatMap(({ data }) => data.orders.map(({ order }) => order)),
    ids,
  );
  await database.write(async (tx) => {
    await tx.deleteFrom('orders').execute();
  });
  const none = await Array.fromAsync(await api.orderGroupEvents(SWEEP, ann));
  t.deepEqual(
    none.map(({ data }) => [data.orders, data.ended, data.counts.done]),
    [[[], true, 0]],
  );
});

test('Who watches a group that has just ended, and begins again, is not told that it has ended', async (t) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const worker = await compute.worker();
  await api.learn({ body: aLearnuplet({ group: 'sweep' }) }, ann);
  await worker.fail(await worker.mustClaim());
  t.true((await Array.fromAsync(await api.orderGroupEvents(SWEEP, ann))).at(-1)?.data.ended);
  await api.retryOrderGroup({ ...SWEEP, body: {} }, ann);
  const watching = Array.fromAsync(await api.orderGroupEvents(SWEEP, ann));
  await worker.finish(await worker.mustClaim());
  const events = await watching;
  t.is(events.at(-1)?.data.counts.done, 1);
});

test('Watching stops when the caller goes, and what is not there is told before', async (t) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  await api.learn({ body: aLearnuplet({ group: 'sweep' }) }, ann);
  const gone = new AbortController();
  const call = { ...ann, signal: gone.signal };
  const seen: GroupEvent[] = [];
  for await (const { data } of await api.orderGroupEvents(SWEEP, call)) {
    seen.push(data);
    gone.abort();
  }
  t.is(seen.length, 1);
  await t.throwsAsync(api.orderGroupEvents({ params: { name: 'other' }, query: {} }, ann), {
    code: 'not_found',
  });
});
