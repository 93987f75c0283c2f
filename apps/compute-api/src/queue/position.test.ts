import test from 'ava';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, seedQueue } from '../testing/orders.ts';
import { duration } from './position.ts';

const SLOTS = { learn: 2, predict: 2 };

async function order({ api }: TestCompute, owner: string): Promise<string> {
  const body = aLearnuplet();
  await api.learn({ body }, { principal: { name: owner, roles: ['orchestrator'] } });
  return body.uuid;
}

async function positionOf({ api }: TestCompute, id: string) {
  return (await api.getOrder({ params: { id } })).queue;
}

testOnEngines('The position says when the order is really claimed', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(SLOTS);
  await compute.api.setOwner({ params: { owner: 'heavy' }, body: { weight: 3 } });
  await seedQueue(compute, 'heavy', 40);
  await seedQueue(compute, 'light', 20);
  for (let n = 0; n < 9; n++) await worker.mustClaim();
  const ids = [await order(compute, 'new'), await order(compute, 'new'), await order(compute, 'new')];
  for (let claims = 0; ids.length > 0; claims++) {
    const [next] = ids;
    const expected = await positionOf(compute, next ?? '');
    const { order: claimed } = await worker.mustClaim();
    if (claimed === next) t.is(expected?.place, 1);
    t.is(claimed === next, expected?.place === 1, `claim ${claims}, at position ${expected?.place}`);
    if (claimed === next) ids.shift();
  }
});

testOnEngines('An expected start names its basis, or has none', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const first = await order(compute, 'a');
  t.deepEqual(await positionOf(compute, first), {
    place: 1,
    basis: 'No basis: no worker for learn orders is alive.',
  });
  const worker = await compute.worker(SLOTS);
  t.deepEqual(await positionOf(compute, first), {
    place: 1,
    basis: 'No basis: no learn order has been done yet.',
  });
  const claim = await worker.mustClaim();
  await worker.finish(claim);
  await t.notThrowsAsync(async () => {
    while ((await compute.api.getOrder({ params: { id: first } })).status !== 'done') {
      await new Promise(setImmediate);
    }
  });
  const took = 41_000;
  await compute.database.write(async (tx) => {
    await tx
      .updateTable('attempts')
      .set((row) => ({ ended_at: row('started_at', '+', took) }))
      .execute();
  });
  await seedQueue(compute, 'a', 34);
  const last = await order(compute, 'a');
  const queue = await positionOf(compute, last);
  t.is(queue?.place, 35);
  t.is(
    queue?.basis,
    '34 orders before it, 2 slots of living workers (2 free), the last learn order took 41 s in the middle.',
  );
  t.truthy(queue?.expected_start);
  const why = await compute.api.whyOrder({ params: { id: last } });
  t.like(why, { code: 'position', before: 34 });
  t.regex(why.sentence, /It should start in about 11 min: 34 orders before it/);
  await compute.api.pauseQueue({ body: { paused: true } });
  t.deepEqual(await positionOf(compute, last), { place: 35, basis: 'No basis: the queue is paused.' });
});

testOnEngines('A clock that was set back makes no order take less than none', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const id = await order(compute, 'a');
  const worker = await compute.worker(SLOTS);
  const claim = await worker.mustClaim();
  const record = { step: 'train', seconds: -7187 } as const;
  const { attempt } = claim;
  await compute.api.noteStep({ params: { id, attempt }, body: { what: 'ended', record } });
  await worker.finish(claim);
  await t.notThrowsAsync(async () => {
    while ((await compute.api.getOrder({ params: { id } })).status !== 'done')
      await new Promise(setImmediate);
  });
  await compute.database.write(async (tx) => {
    await tx
      .updateTable('attempts')
      .set((row) => ({ ended_at: row('started_at', '-', 7_187_000) }))
      .execute();
  });
  const next = await order(compute, 'a');
  t.regex((await positionOf(compute, next))?.basis ?? '', /the last learn order took 0 s in the middle/);
  const { attempts } = await compute.api.getOrder({ params: { id } });
  t.is(attempts[0]?.steps.find(({ step }) => step === 'train')?.seconds, 0);
});

testOnEngines('An order that is not due has no position', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const id = await order(compute, 'a');
  await (await compute.worker(SLOTS)).mustClaim();
  t.is(await positionOf(compute, id), undefined);
});

for (const [ms, text] of [
  [400, '0 s'],
  [89_000, '89 s'],
  [12 * 60_000, '12 min'],
  [5 * 3_600_000, '5 h'],
  [72 * 3_600_000, '3 days'],
] as const) {
  test(`${ms} milliseconds are called ${text}`, (t) => t.is(duration(ms), text));
}
