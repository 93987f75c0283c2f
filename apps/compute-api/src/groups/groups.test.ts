import { type Call, DEFAULT_DISCLOSURE } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { pinned } from '../testing/fake-systems.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute, type TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { resultOf } from '../testing/test-worker.ts';

const as = (name: string): Call => ({ principal: { name, roles: ['orchestrator'], isPerson: true } });
const ann = as('ann');
const SWEEP = { params: { name: 'sweep' }, query: {} };

/** Orders with these scores, the first placed first; returns their ids. */
async function train(
  t: ExecutionContext,
  { api, worker: register }: TestCompute,
  scores: readonly (number | undefined)[],
): Promise<string[]> {
  const worker = await register({ learn: 1, predict: 1 });
  const { workflow } = aLearnuplet();
  const ids: string[] = [];
  for (const perf of scores) {
    const body = aLearnuplet({ group: 'sweep', workflow });
    await api.learn({ body }, ann);
    const claim = await worker.mustClaim();
    const performance = { perf: perf ?? 0, train_perf: {}, test_perf: {} };
    if (perf === undefined) await worker.fail(claim);
    else await worker.report(claim, { outcome: 'done', result: { ...resultOf(claim), performance } });
    ids.push(body.uuid);
  }
  await eventually(t, async (t) => {
    const { counts } = await api.getOrderGroup(SWEEP, ann);
    t.is(counts.done + counts.failed, scores.length);
  });
  return ids;
}

testOnEngines(
  'A group tells how its orders stand, the best score and whose it is, and why orders failed',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api } = compute;
    const [, best] = await train(t, compute, [0.5, 0.75, 0.75, undefined, 0.25]);
    await api.pred({ body: aPreduplet({ group: 'sweep' }) }, ann);
    const group = await api.getOrderGroup(SWEEP, ann);
    t.like(group, { name: 'sweep', owner: 'ann', orders: 6, failures: { exit_code: 1 } });
    t.deepEqual(group.counts, { waiting: 0, todo: 1, pending: 0, done: 4, failed: 1, cancelled: 0 });
    t.is(group.best.length, 1);
    t.like(group.best[0], { score: 0.75, order: best });
    t.is(group.ended_at, undefined);
    t.true((group.last_created_at ?? '') >= group.created_at);
    const { items, total } = await api.listOrders({ query: { group: 'sweep', status: 'done' } }, ann);
    t.is(total, 4);
    t.is(items[0]?.group, 'sweep');
    await api.cancelOrderGroup(SWEEP, ann);
    await eventually(t, async (t) => t.truthy((await api.getOrderGroup(SWEEP, ann)).ended_at));
    const ended = await api.getOrderGroup(SWEEP, ann);
    t.deepEqual(ended.counts, { waiting: 0, todo: 0, pending: 0, done: 4, failed: 1, cancelled: 1 });
    t.regex(ended.ended_at ?? '', /0\.000Z$/);
  },
);

testOnEngines('The best score of each problem is told, of ten at most', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const worker = await compute.worker();
  for (let n = 0; n < 11; n++) {
    await api.learn({ body: aLearnuplet({ group: 'sweep' }) }, ann);
    await worker.finish(await worker.mustClaim());
  }
  await eventually(t, async (t) => t.is((await api.getOrderGroup(SWEEP, ann)).counts.done, 11));
  const { best } = await api.getOrderGroup(SWEEP, ann);
  t.deepEqual([best.length, new Set(best.map(({ workflow }) => workflow)).size], [10, 10]);
});

test('Scores are compared and told with the digits that everybody may see', async (t) => {
  await using compute = await openTestCompute();
  compute.checks.refuse = (request) => {
    const answer = pinned(request);
    if (answer.outcome !== 'pinned') return answer;
    const disclosure = { ...DEFAULT_DISCLOSURE, digits: 2 };
    return { ...answer, policy: { ...answer.policy, readers: ['ann'], disclosure } };
  };
  const [first] = await train(t, compute, [0.7712, 0.7713]);
  for (const call of [ann, { principal: { name: 'root', roles: ['admin' as const] } }]) {
    const { best } = await compute.api.getOrderGroup({ ...SWEEP, query: { owner: 'ann' } }, call);
    t.like(best[0], { score: 0.77, order: first });
  }
});

testOnEngines(
  'Groups are listed newest first, those of their owner alone, and paged without gap or repetition',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api } = compute;
    const names = ['a', 'b.1', 'c-2', 'd_3'];
    for (const group of names) await api.learn({ body: aLearnuplet({ group }) }, ann);
    for (const group of ['a', 'z']) await api.learn({ body: aLearnuplet({ group }) }, as('bob'));
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await api.listOrderGroups({ query: { limit: 3, cursor } }, ann);
      t.is(page.total, 4);
      for (const { name, owner, orders, counts } of page.items) {
        seen.push(name);
        t.deepEqual([owner, orders, counts.todo], ['ann', 1, 1]);
      }
      cursor = page.next;
    } while (cursor !== undefined);
    t.deepEqual(seen.toReversed(), names);
    await t.throwsAsync(api.listOrderGroups({ query: { cursor: 'x' } }, ann), { code: 'invalid_request' });
  },
);

testOnEngines(
  'The same order again is the same order, and in another group it is another',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api } = compute;
    const body = aLearnuplet({ group: 'sweep' });
    await api.learn({ body }, ann);
    await api.learn({ body }, ann);
    t.is((await api.getOrderGroup(SWEEP, ann)).orders, 1);
    for (const group of ['other', undefined])
      await t.throwsAsync(api.learn({ body: { ...body, group } }, ann), { code: 'conflict' });
    await t.throwsAsync(api.getOrderGroup({ params: { name: 'other' }, query: {} }, ann), {
      code: 'not_found',
    });
    await api.cancelOrderGroup(SWEEP, ann);
    await t.notThrowsAsync(api.learn({ body }, ann), 'it is there, whatever became of its group');
  },
);

test('A name that is none is refused as a broken rule of the order', async (t) => {
  await using compute = await openTestCompute();
  for (const group of ['', '.', '..', '-a', 'a b', 'a/b', 'ä', 'a'.repeat(101), 'a\n']) {
    await t.throwsAsync(
      compute.api.learn({ body: aLearnuplet({ group }) }),
      { code: 'invalid_order', message: /^Invalid learn-uplet: group field should be 1 to 100 letters/ },
      group,
    );
  }
  await t.throwsAsync(compute.api.pred({ body: aPreduplet({ group: '..' }) }), { code: 'invalid_order' });
  await t.notThrowsAsync(compute.api.learn({ body: aLearnuplet({ group: `0${'A-_.'.repeat(24)}` }) }));
});

testOnEngines('A group that has had all orders that it may takes in no more', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api, database } = compute;
  const last = aLearnuplet({ group: 'sweep' });
  await api.learn({ body: aLearnuplet({ group: 'sweep' }) }, ann);
  await database.write(async (tx) => {
    await tx.updateTable('order_groups').set({ posted: 9999 }).execute();
  });
  await api.learn({ body: last }, ann);
  const one = aLearnuplet({ group: 'sweep' });
  await t.throwsAsync(api.learn({ body: one }, ann), {
    code: 'wrong_state',
    message: /has had 10000 orders/,
  });
  await t.throwsAsync(api.getOrder({ params: { id: one.uuid } }), { code: 'not_found' });
  await t.notThrowsAsync(api.learn({ body: last }, ann));
  await t.notThrowsAsync(api.learn({ body: { ...one, group: 'more' } }, ann));
});

test('What the platform places on a sample is in no group', async (t) => {
  await using compute = await openTestCompute();
  const { api, checks } = compute;
  const { train_data, test_data } = aLearnuplet();
  checks.refuse = (request) => {
    const answer = pinned(request);
    if (answer.outcome !== 'pinned') return answer;
    return { ...answer, policy: { ...answer.policy, hidden: true, sample: { train_data, test_data } } };
  };
  await train(t, compute, [undefined]);
  const { items } = await api.listOrders({ query: {} });
  const sample = items.find(({ sample_of }) => sample_of !== undefined);
  t.truthy(sample);
  t.is(sample?.group, undefined);
  t.is((await api.getOrderGroup(SWEEP, ann)).orders, 1);
  const claim = await (await compute.worker()).mustClaim();
  t.deepEqual([claim.order, claim.spec.uplet.group], [sample?.id, undefined]);
});
