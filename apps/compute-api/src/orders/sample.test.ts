import { randomUUID } from 'node:crypto';
import { type Call, DEFAULT_DISCLOSURE, type Failure, type Sample } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import { pinned } from '../testing/fake-systems.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import type { TestWorker } from '../testing/test-worker.ts';

const BOB: Call = { principal: { name: 'bob', roles: ['orchestrator'] } };
const SAMPLE: Sample = { train_data: [randomUUID()], test_data: [randomUUID()] };
const AT_TRAIN: Failure = { reason: 'exit_code', message: 'It exited with 1.', exit_code: 1, step: 'train' };

/** All data but the sample is hidden from the owners of orders. */
function hide({ checks }: TestCompute): void {
  checks.refuse = (request) => {
    const answer = pinned(request);
    const isSample = request.uses.some(({ uuid }) => SAMPLE.test_data.includes(uuid));
    if (answer.outcome !== 'pinned' || isSample) return answer;
    const limits = { hidden: true, readers: [], disclosure: DEFAULT_DISCLOSURE, sample: SAMPLE };
    return { ...answer, policy: { ...answer.policy, ...limits } };
  };
}

/** Has an order of this algorithm fail; resolves with the order that the platform has placed for it, if any. */
async function fail(compute: TestCompute, worker: TestWorker, algo: string, failure: Failure) {
  const body = aLearnuplet({ algo, gpus: 0, priority: 3 });
  await compute.api.learn({ body }, BOB);
  const claim = await worker.mustClaim();
  await worker.report(claim, { outcome: 'failed', failure });
  const { sample_order } = await compute.api.getOrder({ params: { id: body.uuid } }, BOB);
  return { failed: body, sample_order };
}

testOnEngines(
  'An algorithm that failed on hidden data is tried on the public sample, where its author may read the log',
  async (t, open) => {
    await using compute = await open();
    hide(compute);
    const worker = await compute.worker();
    const algo = randomUUID();
    const { failed, sample_order: id = '' } = await fail(compute, worker, algo, AT_TRAIN);
    const claim = await worker.mustClaim();
    t.is(claim.order, id);
    const { problem, workflow } = failed;
    t.like(await compute.api.getOrder({ params: { id } }, BOB), {
      ...{ sample_of: failed.uuid, algo, problem, workflow, ...SAMPLE, rank: 0, owner: 'bob', priority: 3 },
    });
    const chunks = [
      { seq: 0, step: 'train' as const, stream: 'stdout' as const, text: 'Error: no such column' },
    ];
    await compute.api.appendLog({ params: { id, attempt: 1 }, body: { chunks } });
    await worker.fail(claim);
    const { body } = await compute.api.orderLog({ params: { id }, query: {} }, BOB);
    t.is(await new Response(body).text(), 'Error: no such column');
    // The orchestrator has ordered the other alone; what has failed on the sample is not tried again there.
    await eventually(t, (t) => t.true(compute.calls.includes(`discard ${id}`)));
    t.deepEqual(
      compute.calls.filter((call) => /^(taken|learndone)/.test(call) && call.includes(id)),
      [],
    );
    t.is(await worker.claim(), null);
  },
);

testOnEngines('An algorithm is tried on the sample once an hour, and each for itself', async (t, open) => {
  await using compute = await open();
  hide(compute);
  const worker = await compute.worker();
  const algo = randomUUID();
  const finishSample = async () => await worker.fail(await worker.mustClaim());
  t.truthy((await fail(compute, worker, algo, AT_TRAIN)).sample_order);
  await finishSample();
  t.is((await fail(compute, worker, algo, AT_TRAIN)).sample_order, undefined);
  t.truthy((await fail(compute, worker, randomUUID(), AT_TRAIN)).sample_order);
  await finishSample();
  await compute.database.write(
    async (tx) =>
      await tx
        .updateTable('samples')
        .set((row) => ({ placed_at: row('placed_at', '-', 3_600_000) }))
        .execute(),
  );
  t.truthy((await fail(compute, worker, algo, AT_TRAIN)).sample_order);
});

testOnEngines('Only what the algorithm itself did is tried on the sample', async (t, open) => {
  await using compute = await open();
  const worker = await compute.worker();
  t.is((await fail(compute, worker, randomUUID(), AT_TRAIN)).sample_order, undefined, 'nothing was hidden');
  hide(compute);
  for (const step of ['inputs', 'build', 'detarget'] as const)
    t.is((await fail(compute, worker, randomUUID(), { ...AT_TRAIN, step })).sample_order, undefined, step);
  for (const step of ['perf', 'results'] as const) {
    t.truthy((await fail(compute, worker, randomUUID(), { ...AT_TRAIN, step })).sample_order, step);
    await worker.fail(await worker.mustClaim());
  }
});

testOnEngines(
  'Nothing is shown of an order on a sample of which storage has not found that it is public',
  async (t, open) => {
    await using compute = await open();
    hide(compute);
    const worker = await compute.worker();
    const { sample_order: id = '' } = await fail(compute, worker, randomUUID(), AT_TRAIN);
    const claim = await worker.mustClaim();
    t.true(compute.checks.asked.flat().find(({ order }) => order === id)?.public_only);
    t.false(compute.checks.asked.flat().some(({ order, public_only }) => order !== id && public_only));
    // As one that was checked before there was such a rule.
    await compute.database.write(async (tx) => {
      const row = await tx.selectFrom('orders').select('pin').where('id', '=', id).executeTakeFirstOrThrow();
      const pin = JSON.parse(row.pin ?? '');
      const policy = { ...pin.policy, readers: ['bob'], disclosure: { ...DEFAULT_DISCLOSURE, perf: 'all' } };
      const change = tx.updateTable('orders').set({ pin: JSON.stringify({ ...pin, policy }) });
      await change.where('id', '=', id).execute();
    });
    const chunks = [{ seq: 0, step: 'perf' as const, stream: 'stdout' as const, text: 'a secret' }];
    await compute.api.appendLog({ params: { id, attempt: 1 }, body: { chunks } });
    await worker.finish(claim);
    await eventually(t, async (t) =>
      t.is((await compute.api.getOrder({ params: { id } }, BOB)).status, 'done'),
    );
    const { result } = await compute.api.getOrder({ params: { id } }, BOB);
    t.deepEqual(Object.keys(result ?? {}), ['uuid']);
    const { body } = await compute.api.orderLog({ params: { id }, query: {} }, BOB);
    t.notRegex(await new Response(body).text(), /a secret/);
  },
);
