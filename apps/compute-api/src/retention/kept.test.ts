import { randomUUID } from 'node:crypto';
import type { Job } from '@morpheo/common';
import { testOnEngines } from '../testing/on-engines.ts';
import { away } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet, aPreduplet, seedWaiting } from '../testing/orders.ts';
import { age, ended, predicted, remaining, retentionOf, rowCounts, settled } from '../testing/retention.ts';

testOnEngines('An order that has not ended stays, however old it is', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const begunAgain = await ended(t, compute);
  const waits = aLearnuplet();
  await compute.api.learn({ body: waits });
  await age(compute, 2, begunAgain.uuid, waits.uuid);
  await compute.api.retryOrder({ params: { id: begunAgain.uuid } });
  const before = await rowCounts(compute);
  await retentionOf(compute, { logsMs: 0 }).remove();
  t.deepEqual(await rowCounts(compute), before);
});

testOnEngines(
  'An order of whose end the orchestrator has not heard stays until it has, and keeps its log',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { uuid: id } = aLearnuplet();
    compute.broken.orchestrator = away();
    await compute.api.learn({ body: aLearnuplet({ uuid: id }) });
    const worker = await compute.worker();
    const claim = await worker.mustClaim();
    const params = { id, attempt: claim.attempt };
    const chunk = { seq: 0, step: 'train' as const, stream: 'stdout' as const, text: 'a line' };
    await compute.api.appendLog({ params, body: { chunks: [chunk] } });
    await worker.fail(claim);
    await age(compute, 2, id);
    const retention = retentionOf(compute, { logsMs: 0 });
    await retention.remove();
    t.like(await rowCounts(compute), { orders: 1, logs: 1 });
    delete compute.broken.orchestrator;
    await settled(t, compute, id);
    await retention.remove();
    t.deepEqual(await remaining(compute, [id]), []);
  },
);

testOnEngines('An order for which another waits stays', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const maker = await ended(t, compute);
  await age(compute, 2, maker.uuid);
  const waiting = await seedWaiting(compute, maker.uuid, 1);
  await retentionOf(compute).remove();
  t.deepEqual(await remaining(compute, [maker.uuid]), [maker.uuid]);
  await compute.database.write(
    async (tx) => await tx.deleteFrom('orders').where('id', 'in', waiting).execute(),
  );
  await retentionOf(compute).remove();
  t.deepEqual(await remaining(compute, [maker.uuid]), []);
});

testOnEngines('An order that made the start model of an open one stays', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const [learns, predicts, unused] = [
    await ended(t, compute, 0.5),
    await ended(t, compute, 0.5),
    await ended(t, compute, 0.5),
  ];
  const all = [learns.uuid, predicts.uuid, unused.uuid];
  await age(compute, 2, ...all);
  await compute.api.learn({ body: aLearnuplet({ rank: 1, model_start: learns.model_end }) });
  await compute.api.pred({ body: aPreduplet({ model: predicts.model_end }) });
  await retentionOf(compute).remove();
  t.deepEqual(await remaining(compute, all), [learns.uuid, predicts.uuid]);
});

testOnEngines(
  'An order stays while one is kept that predicted by its model, and goes after it',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const maker = await ended(t, compute, 0.5);
    const prediction = await predicted(t, compute, maker.model_end);
    const both = [maker.uuid, prediction];
    await age(compute, 2, maker.uuid);
    const retention = retentionOf(compute);
    await retention.remove();
    t.deepEqual(await remaining(compute, both), both);
    await age(compute, 1.5, prediction);
    await retention.remove();
    t.deepEqual(await remaining(compute, both), [maker.uuid]);
    await retention.remove();
    t.deepEqual(await remaining(compute, both), []);
  },
);

testOnEngines('A chain of trainings stays while its last one is kept', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const first = await ended(t, compute, 0.5);
  const second = await ended(t, compute, 0.6, { rank: 1, model_start: first.model_end });
  const third = await ended(t, compute, 0.7, { rank: 2, model_start: second.model_end });
  const chain = [first.uuid, second.uuid, third.uuid];
  await age(compute, 3, first.uuid);
  await age(compute, 2, second.uuid);
  const retention = retentionOf(compute);
  await retention.remove();
  t.deepEqual(await remaining(compute, chain), chain);
  await age(compute, 1.5, third.uuid);
  for (const left of [2, 1, 0]) {
    await retention.remove();
    t.deepEqual(await remaining(compute, chain), chain.slice(0, left));
  }
});

testOnEngines('Orders that failed and name the models of one another go', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const [one, other] = [aLearnuplet({ rank: 1 }), aLearnuplet({ rank: 1 })];
  const bodies = [
    { ...one, model_start: other.model_end },
    { ...other, model_start: one.model_end },
  ];
  const refusal = { outcome: 'refused', reason: 'forbidden', message: 'No.', missing: [] } as const;
  compute.checks.refuse = ({ order }) => ({ ...refusal, order, missing: [...refusal.missing] });
  for (const body of bodies) {
    await compute.api.learn({ body });
    await settled(t, compute, body.uuid);
  }
  await age(compute, 2, one.uuid, other.uuid);
  await retentionOf(compute).remove();
  t.deepEqual(await remaining(compute, [one.uuid, other.uuid]), []);
});

testOnEngines(
  'Orders that made models from one another go, one after the other',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [one, other] = [aLearnuplet(), aLearnuplet()];
    const ids = [one.uuid, other.uuid];
    await ended(t, compute, 0.5, { ...one, rank: 1, model_start: other.model_end });
    await ended(t, compute, 0.5, { ...other, rank: 1, model_start: one.model_end });
    await age(compute, 3, one.uuid);
    await age(compute, 2, other.uuid);
    const retention = retentionOf(compute);
    await retention.remove();
    t.deepEqual(await remaining(compute, ids), [one.uuid]);
    await retention.remove();
    t.deepEqual(await remaining(compute, ids), []);
  },
);

testOnEngines(
  'An order stays while the one is kept that the platform placed because it failed',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [failed, sample] = [await ended(t, compute), await ended(t, compute, 0.9)];
    const both = [failed.uuid, sample.uuid];
    await compute.database.write(async (tx) => {
      const of = tx.updateTable('orders').set({ sample_of: failed.uuid });
      await of.where('id', '=', sample.uuid).execute();
    });
    await age(compute, 2, failed.uuid);
    await retentionOf(compute).remove();
    t.deepEqual(await remaining(compute, both), both);
    await age(compute, 1.5, sample.uuid);
    await retentionOf(compute).remove();
    t.deepEqual(await remaining(compute, both), [failed.uuid]);
  },
);

testOnEngines(
  'The best trainings of each problem stay, of equal ones the first',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [workflow, other] = [aLearnuplet().workflow, aLearnuplet().workflow];
    const ids: string[] = [];
    for (const [perf, members] of [
      [0.5, { workflow }],
      [0.9, { workflow }],
      [0.7, { workflow }],
      [0.7, { workflow }],
      [0.1, { workflow: other }],
      [undefined, { workflow }],
    ] as const) {
      const { uuid } = await ended(t, compute, perf, members);
      // Each is younger than the one before it.
      await age(compute, 20 - ids.length, uuid);
      ids.push(uuid);
    }
    const kept = [1, 2, 4].map((n) => ids[n] ?? '');
    await retentionOf(compute, { best: 2 }).remove();
    t.deepEqual(await remaining(compute, ids), kept);
    await retentionOf(compute, { best: 0 }).remove();
    t.deepEqual(await remaining(compute, ids), []);
  },
);

testOnEngines('For ever means for ever', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { uuid } = await ended(t, compute);
  await age(compute, 1_000_000, uuid);
  const before = await rowCounts(compute);
  await retentionOf(compute, { ordersMs: null, idsMs: null }).remove();
  t.deepEqual(await rowCounts(compute), before);
});

testOnEngines('A job goes with its output, unless a later one has read that', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker({ learn: 0, predict: 0, job: 1 }, 0, 1, { runtime: 'docker' });
  const run = async (members: Partial<Job>) => {
    const job = aJob({ labels: { a: 'b' }, ...members });
    await compute.api.postJob({ body: job });
    await worker.finish(await worker.mustClaim(0, ['job']));
    await settled(t, compute, job.uuid);
    return job.uuid;
  };
  const uuid = randomUUID();
  const first = await run({ output: uuid });
  const second = await run({ inputs: [{ path: '/in', resource: { type: 'output', uuid } }] });
  await age(compute, 2, first, second);
  const removed: string[] = [];
  const storage = {
    removeResult: async ({ params }: { params: { order: string } }) => void removed.push(params.order),
  };
  const retention = retentionOf(compute, { removeOutputs: true }, { storage });
  await retention.remove();
  t.deepEqual(removed, [second]);
  await retention.remove();
  t.deepEqual(removed, [second, first]);
  t.deepEqual(await remaining(compute, [first, second]), []);
});
