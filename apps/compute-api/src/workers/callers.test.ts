import { randomUUID } from 'node:crypto';
import type { Call } from '@morpheo/common';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { resultOf, TestWorker } from '../testing/test-worker.ts';

const OTHERS = { code: 'forbidden', message: /credentials of another caller/ };

/** The calls of a worker as compute-api gets them with the credentials of somebody. */
function calledBy(name: string, { api }: TestCompute): TestCompute['api'] {
  const call: Call = { principal: { name, roles: ['worker'] } };
  return {
    ...api,
    registerWorker: async (input) => await api.registerWorker(input, call),
    claimOrder: async (input) => await api.claimOrder(input, call),
    renewLeases: async (input) => await api.renewLeases(input, call),
    noteStep: async (input) => await api.noteStep(input, call),
    appendLog: async (input) => await api.appendLog(input, call),
    reportAttempt: async (input) => await api.reportAttempt(input, call),
  };
}

testOnEngines('A worker cannot call for an attempt of another caller', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const ours = await TestWorker.register(calledBy('ours', compute), randomUUID());
  const body = aLearnuplet();
  await compute.api.learn({ body });
  const claim = await ours.mustClaim();
  const api = calledBy('theirs', compute);
  const params = { id: claim.order, attempt: claim.attempt };
  const attempts = [{ order: claim.order, attempt: claim.attempt }];
  const asOurs = { worker: ours.id };
  const kinds = ['learn' as const];
  const chunk = { seq: 0, step: 'train' as const, stream: 'stdout' as const, text: 'theirs' };
  const thief = new TestWorker(api, ours.id);
  const calls: Record<string, () => Promise<unknown>> = {
    'registers as it': async () => await thief.restart(attempts),
    'claims as it': async () =>
      await api.claimOrder({ params: asOurs, body: { boot: ours.boot, kinds, free_gpus: 0 } }),
    'renews its leases': async () =>
      await api.renewLeases({ params: asOurs, body: { boot: ours.boot, attempts } }),
    'notes a step': async () => await api.noteStep({ params, body: { what: 'started', step: 'train' } }),
    'appends to its log': async () => await api.appendLog({ params, body: { chunks: [chunk] } }),
    'reports it done': async () => await thief.finish(claim),
    'gives it back': async () => await thief.report(claim, { outcome: 'released' }),
  };
  for (const [what, call] of Object.entries(calls)) await t.throwsAsync(call, OTHERS, what);
  // Nor does a worker of their own help, also one that claims to be the same process.
  const theirs = await TestWorker.register(api, randomUUID());
  theirs.boot = ours.boot;
  await theirs.registerAgain([]);
  const asTheirs = { params: { worker: theirs.id }, body: { boot: ours.boot, attempts } };
  const renewal = await api.renewLeases(asTheirs);
  t.deepEqual([renewal.held, renewal.lost.length], [[], 1]);
  await t.throwsAsync(
    async () => await theirs.report(claim, { outcome: 'done', result: resultOf(claim) }),
    OTHERS,
  );

  t.is(await ours.finish(claim), 'pending');
  const view = await compute.api.getOrder({ params: { id: body.uuid } });
  t.deepEqual(
    view.attempts.map(({ worker, outcome }) => ({ worker, outcome })),
    [{ worker: ours.id, outcome: 'done' }],
  );
});

testOnEngines('The id of a worker that is gone may be used by another caller', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const id = randomUUID();
  const before = await TestWorker.register(calledBy('before', compute), id);
  await t.throwsAsync(async () => await TestWorker.register(calledBy('after', compute), id), OTHERS);
  await compute.database.write(
    async (tx) => await tx.updateTable('workers').set({ seen_at: 0 }).where('id', '=', id).execute(),
  );
  await TestWorker.register(calledBy('after', compute), id);
  await t.throwsAsync(async () => await before.claim(), OTHERS);
});

testOnEngines(
  'Where nobody is asked for credentials, workers have no callers',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const worker = await compute.worker();
    await compute.api.learn({ body: aLearnuplet() });
    const claim = await worker.mustClaim();
    // Credentials are introduced meanwhile: the first who registers the worker is its caller from then on.
    const [resumed] = await new TestWorker(calledBy('ours', compute), worker.id).restart([claim]);
    t.is(resumed?.order, claim.order);
    const theirs = new TestWorker(calledBy('theirs', compute), worker.id);
    await t.throwsAsync(async () => await theirs.restart([claim]), OTHERS);
  },
);
