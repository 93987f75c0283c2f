import { randomUUID } from 'node:crypto';
import { NIL_UUID } from '@morpheo/common';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';

const BOTH = { learn: 4, predict: 4 };

async function order({ api }: TestCompute, gpus?: number): Promise<string> {
  const body = aLearnuplet(gpus === undefined ? {} : { gpus });
  await api.learn({ body });
  return body.uuid;
}

async function why({ api }: TestCompute, id: string) {
  return await api.whyOrder({ params: { id } });
}

testOnEngines('An order asks for no GPU unless it says so', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(BOTH, 2);
  const id = await order(compute);
  t.is((await compute.api.getOrder({ params: { id } })).gpus, 0);
  t.like(await worker.mustClaim(), { order: id, gpus: 0 });
});

testOnEngines('The GPUs that an order asks for come with its claim', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(BOTH, 2);
  const body = aPreduplet({ gpus: 2 });
  await compute.api.pred({ body });
  t.like(await compute.api.getOrder({ params: { id: body.uuid } }), { gpus: 2 });
  t.is(await worker.claim(1), null);
  t.like(await worker.mustClaim(2), { order: body.uuid, gpus: 2 });
});

for (const gpus of [-1, 65]) {
  testOnEngines(`An order that asks for ${gpus} GPUs is refused`, async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const message = `Invalid learn-uplet: gpus field should be from 0 to 64 (provided: ${gpus})`;
    await t.throwsAsync(compute.api.learn({ body: aLearnuplet({ gpus }) }), {
      code: 'invalid_order',
      message,
    });
    await t.throwsAsync(compute.api.pred({ body: aPreduplet({ gpus }) }), { code: 'invalid_order' });
  });
}

testOnEngines('The same order again with other GPUs is a conflict', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const body = aLearnuplet({ gpus: 1 });
  await compute.api.learn({ body });
  await t.notThrowsAsync(compute.api.learn({ body }));
  await t.throwsAsync(compute.api.learn({ body: { ...body, gpus: 2 } }), { code: 'conflict' });
  const { gpus: _gpus, ...without } = body;
  await t.throwsAsync(compute.api.learn({ body: without }), { code: 'conflict' });
});

testOnEngines("An order that does not say gets its problem's default of then", async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const problem = randomUUID();
  const params = { problem };
  t.deepEqual(await compute.api.getProblemDefaults({ params }), { gpus: 0 });
  for (const gpus of [1, 3]) await compute.api.setProblemDefaults({ params, body: { gpus } });
  t.deepEqual(await compute.api.getProblemDefaults({ params }), { gpus: 3 });
  const bodies = [aLearnuplet({ problem }), aPreduplet({ problem, gpus: 0 })] as const;
  await compute.api.learn({ body: bodies[0] });
  await compute.api.pred({ body: bodies[1] });
  await compute.api.setProblemDefaults({ params, body: { gpus: 5 } });
  await t.notThrowsAsync(compute.api.learn({ body: bodies[0] }));
  const asked = await Promise.all(
    bodies.map(async ({ uuid: id }) => (await compute.api.getOrder({ params: { id } })).gpus),
  );
  t.deepEqual(asked, [3, 0]);
});

testOnEngines('A worker gets the oldest order that fits it', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const [big, small, none] = [await order(compute, 4), await order(compute, 1), await order(compute)];
  const worker = await compute.worker(BOTH, 1);
  t.is((await worker.mustClaim(1)).order, small);
  t.is((await worker.mustClaim(0)).order, none);
  t.is(await worker.claim(0), null);
  t.is((await (await compute.worker(BOTH, 4)).mustClaim(4)).order, big);
});

testOnEngines('GPUs are reserved for an order that has waited long for them', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ gpuPatienceMs: 0 });
  const worker = await compute.worker(BOTH, 2);
  const running = await order(compute, 1);
  t.is((await worker.mustClaim(2)).order, running);
  const [big, small, none] = [await order(compute, 2), await order(compute, 1), await order(compute)];
  t.is((await worker.mustClaim(1)).order, none, 'an order without GPUs passes');
  t.is(await worker.claim(1), null, 'a younger one with GPUs does not');
  t.like(await why(compute, big), { code: 'gpus_busy' });
  t.regex((await why(compute, big)).sentence, new RegExp(`${worker.id} keeps those that come free`));
  t.is((await worker.mustClaim(2)).order, big);
  t.is((await worker.mustClaim(2)).order, small);
});

testOnEngines('GPUs are not reserved before an order has waited long', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ gpuPatienceMs: 60_000 });
  const worker = await compute.worker(BOTH, 2);
  await order(compute, 2);
  const small = await order(compute, 1);
  t.is((await worker.mustClaim(1)).order, small);
});

testOnEngines('Only one worker at a time reserves GPUs for an order', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ gpuPatienceMs: 0 });
  const [keeper, other] = [await compute.worker(BOTH, 2), await compute.worker(BOTH, 2)];
  await order(compute, 2);
  t.is(await keeper.claim(1), null);
  const small = await order(compute, 1);
  t.is(await keeper.claim(1), null);
  t.is((await other.mustClaim(1)).order, small);
});

testOnEngines('Another worker reserves GPUs where the one that did is gone', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ gpuPatienceMs: 0 });
  const [keeper, other] = [await compute.worker(BOTH, 2), await compute.worker(BOTH, 2)];
  await order(compute, 1);
  await other.mustClaim(2);
  const big = await order(compute, 2);
  t.is(await keeper.claim(1), null);
  await compute.database.write(async (tx) => {
    await tx.updateTable('workers').set({ seen_at: 0 }).where('id', '=', keeper.id).execute();
  });
  await order(compute, 1);
  t.is(await other.claim(1), null);
  t.regex((await why(compute, big)).sentence, new RegExp(other.id));
});

testOnEngines('An order that asks for more GPUs than any worker has says so', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  await compute.worker(BOTH);
  const one = await order(compute, 1);
  t.like(await why(compute, one), { code: 'too_few_gpus' });
  t.regex(
    (await why(compute, one)).sentence,
    /^It asks for 1 GPU; no living worker for learn orders has one\./,
  );
  await compute.worker(BOTH, 2);
  await compute.worker({ learn: 0, predict: 4 }, 8);
  const four = await order(compute, 4);
  t.like(await why(compute, four), { code: 'too_few_gpus' });
  t.regex((await why(compute, four)).sentence, /^It asks for 4 GPUs; the worker with most has 2\./);
});

testOnEngines('What no worker can run holds nobody else up', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  await compute.worker(BOTH, 2);
  await order(compute, 4);
  const next = await order(compute, 2);
  t.like(await why(compute, next), { code: 'workers_busy', before: 0 });
});

testOnEngines('Why says how many GPUs are free where too few are', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(BOTH, 2);
  await order(compute, 1);
  await worker.mustClaim(2);
  const two = await order(compute, 2);
  const { code, sentence } = await why(compute, two);
  t.is(code, 'gpus_busy');
  t.is(sentence, 'It asks for 2 GPUs; the worker with most to spare has 1 of its 2 free.');
});

testOnEngines('The list of workers shows their GPUs and the use of them', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(BOTH, 2, 4);
  await order(compute, 2);
  const claim = await worker.mustClaim(2);
  const [shown] = (await compute.api.listWorkers({})).items;
  t.like(shown?.gpus, { slots: 4, leased: 2 });
  t.deepEqual(
    shown?.gpus.devices.map(({ id }) => id),
    ['GPU-0', 'GPU-1'],
  );
  t.like(shown?.running[0], { gpus: 2 });
  await worker.finish(claim);
  t.is((await compute.api.listWorkers({})).items[0]?.gpus.leased, 0);
});

testOnEngines('An order that is tried again says why it broke off', async (t, openTestCompute) => {
  await using compute = await openTestCompute({
    retryBackOff: { firstMs: 60_000, mostMs: 60_000, jitter: 0.25 },
  });
  const worker = await compute.worker(BOTH, 1);
  const id = await order(compute, 1);
  const failure = { reason: 'internal', message: 'The daemon does not hand over GPU 0.' } as const;
  await worker.report(await worker.mustClaim(1), { outcome: 'error', failure });
  t.regex(
    (await why(compute, id)).sentence,
    /broke off \(The daemon does not hand over GPU 0\); it is tried/,
  );
});

testOnEngines('The model of an order with GPUs has an id like any other', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker(BOTH, 1);
  const body = aLearnuplet({ gpus: 1, model_end: NIL_UUID });
  await compute.api.learn({ body });
  const { spec } = await worker.mustClaim(1);
  t.like(spec.uplet, { gpus: 1 });
});
