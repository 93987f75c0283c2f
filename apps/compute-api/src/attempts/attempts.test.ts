import { PlatformError } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import { sql } from 'kysely';
import { testOnEngines } from '../testing/on-engines.ts';
import { away } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { resultOf, SCORES, TestWorker } from '../testing/test-worker.ts';

const BROKEN = { reason: 'internal', message: 'Storage was away.' } as const;

testOnEngines(
  'A learn order is claimed, published, done, and reported to the orchestrator in this order',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const worker = await compute.worker();
    const body = aLearnuplet();
    await compute.api.learn({ body });
    const claim = await worker.mustClaim();
    t.like(claim, { order: body.uuid, attempt: 1, spec: { kind: 'learn' } });
    t.is(await worker.finish(claim), 'pending');
    await eventually(t, (t) =>
      t.deepEqual(compute.calls, [
        `taken learnuplet ${body.uuid} ${worker.id}`,
        `publish ${body.uuid} 1`,
        `learndone ${body.uuid} ${JSON.stringify({ ...SCORES, status: 'done' })}`,
      ]),
    );
    const view = await compute.api.getOrder({ params: { id: body.uuid } });
    t.like(view, { status: 'done', attempt: 1, result: { uuid: body.model_end, performance: SCORES } });
    t.like(view.attempts[0], { attempt: 1, worker: worker.id, outcome: 'done' });
  },
);

testOnEngines('The orchestrator learns where the prediction of an order is', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const body = aPreduplet();
  await compute.api.pred({ body });
  const claim = await worker.mustClaim();
  const result = resultOf(claim);
  await worker.report(claim, { outcome: 'done', result });
  const told = JSON.stringify({ status: 'done', prediction_storage_uuid: result.uuid });
  await eventually(t, (t) => t.true(compute.calls.includes(`preddone ${body.uuid} ${told}`)));
});

testOnEngines('Orders are claimed oldest first', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const bodies = Array.from({ length: 5 }, () => aLearnuplet());
  for (const body of bodies) await compute.api.learn({ body });
  for (const { uuid } of bodies) t.is((await worker.mustClaim()).order, uuid);
});

testOnEngines('Orders that many claim at once are claimed each once', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const workers = await Promise.all(Array.from({ length: 8 }, async () => await compute.worker()));
  const bodies = Array.from({ length: 5 }, () => aLearnuplet());
  await Promise.all(bodies.map(async (body) => await compute.api.learn({ body })));
  const claimed: string[] = [];
  const claimAll = async () => {
    const claims = await Promise.all(workers.map(async (worker) => await worker.claim()));
    claimed.push(...claims.flatMap((claim) => (claim === null ? [] : [claim.order])));
  };
  await claimAll();
  // A claim passes over an order that is just being announced, and gets it the next time.
  while (claimed.length < bodies.length) await claimAll();
  await claimAll();
  t.is(claimed.length, bodies.length);
  t.deepEqual(
    bodies.filter(({ uuid }) => !claimed.includes(uuid)),
    [],
  );
});

testOnEngines('An order whose code failed is failed, and never claimed again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  t.is(await worker.fail(await worker.mustClaim()), 'failed');
  t.is(await worker.claim(), null);
  t.like(await compute.api.getOrder({ params: { id: body.uuid } }), {
    status: 'failed',
    failure: { reason: 'exit_code', exit_code: 1, step: 'train' },
  });
  await eventually(t, (t) => t.true(compute.calls.includes(`learndone ${body.uuid} {"status":"failed"}`)));
  t.true(compute.calls.includes(`discard ${body.uuid}`));
});

testOnEngines(
  'What the platform broke is tried again, and fails after the last attempt',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ attempts: 3 });
    const worker = await compute.worker();
    const body = aLearnuplet();
    await compute.api.learn({ body });
    for (const attempt of [1, 2, 3]) {
      await eventually(t, async (t) => {
        const claim = await worker.claim();
        t.is(claim?.attempt, attempt);
        if (claim !== null) await worker.report(claim, { outcome: 'error', failure: BROKEN });
      });
    }
    const view = await compute.api.getOrder({ params: { id: body.uuid } });
    t.like(view, { status: 'failed', failure: { reason: 'internal' } });
    t.deepEqual(
      view.attempts.map((attempt) => attempt.outcome),
      ['error', 'error', 'error'],
    );
  },
);

testOnEngines('An order that is released is due at once and not charged', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ attempts: 1 });
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  for (const attempt of [1, 2, 3]) {
    const claim = await worker.mustClaim();
    t.is(claim.attempt, attempt);
    t.is(await worker.report(claim, { outcome: 'released' }), 'todo');
  }
});

testOnEngines(
  'A lease that is not renewed is taken back, and late calls change nothing',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [first, second] = [await compute.worker(), await compute.worker()];
    const body = aLearnuplet();
    await compute.api.learn({ body });
    const stale = await first.mustClaim();
    await compute.database.write(
      async (tx) => await tx.updateTable('orders').set({ lease_until: 1 }).execute(),
    );
    await eventually(t, async (t) => t.is((await second.claim())?.attempt, 2));
    const params = { id: body.uuid, attempt: stale.attempt };
    // That the orchestrator was told of the claims is an entry of its own, which comes when it comes.
    await eventually(t, async (t) =>
      t.deepEqual(await compute.database.read.selectFrom('outbox').selectAll().execute(), []),
    );
    const before = await compute.database.read.selectFrom('orders').selectAll().execute();
    for (const call of [
      async () => await first.finish(stale),
      async () => await first.fail(stale),
      async () => await first.report(stale, { outcome: 'released' }),
      async () => await compute.api.noteStep({ params, body: { what: 'started', step: 'train' } }),
      async () =>
        await compute.api.appendLog({
          params,
          body: { chunks: [{ seq: 0, step: 'train', stream: 'stdout', text: 'late' }] },
        }),
    ]) {
      await t.throwsAsync(call(), { code: 'stale_attempt' });
    }
    const after = await compute.database.read.selectFrom('orders').selectAll().execute();
    t.deepEqual(after, before);
    t.is((await compute.database.read.selectFrom('logs').selectAll().execute()).length, 0);
  },
);

testOnEngines('A lease that is renewed is kept', async (t, openTestCompute) => {
  await using compute = await openTestCompute({ leaseMs: 600_000 });
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const { order, attempt } = await worker.mustClaim();
  const { database } = compute;
  const leftMs = async () => {
    const left = sql<number>`lease_until - ${database.now}`.as('left');
    return Number((await database.read.selectFrom('orders').select(left).executeTakeFirstOrThrow()).left);
  };
  const soon = sql<number>`${database.now} + 60000`;
  await database.write(async (tx) => await tx.updateTable('orders').set({ lease_until: soon }).execute());
  t.true((await leftMs()) <= 60_000);
  const body = { boot: worker.boot, attempts: [{ order, attempt }] };
  const renewal = await compute.api.renewLeases({ params: { worker: worker.id }, body });
  t.like(renewal.held, [{ order, attempt }]);
  t.true((await leftMs()) > 300_000);
  t.like(await compute.api.getOrder({ params: { id: order } }), { status: 'pending', attempt: 1 });
});

testOnEngines('A renewal names what was cancelled and what is stale', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const { order } = await worker.mustClaim();
  await compute.api.cancelOrder({ params: { id: order } });
  const attempts = [
    { order, attempt: 1 },
    { order, attempt: 9 },
  ];
  const renewal = await compute.api.renewLeases({
    params: { worker: worker.id },
    body: { boot: worker.boot, attempts },
  });
  t.deepEqual(renewal.lost, [
    { order, attempt: 1, reason: 'cancelled' },
    { order, attempt: 9, reason: 'stale' },
  ]);
});

testOnEngines('The same report again gets the same answer', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const claim = await worker.mustClaim();
  t.is(await worker.fail(claim), 'failed');
  t.is(await worker.fail(claim), 'failed');
  await t.throwsAsync(worker.finish(claim), { code: 'stale_attempt' });
});

testOnEngines('A worker that starts again loses what its earlier process ran', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const old = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const lost = await old.mustClaim();
  const fresh = await TestWorker.register(compute.api, old.id);
  await eventually(t, async (t) => t.is((await fresh.claim())?.attempt, 2));
  await t.throwsAsync(old.claim(), { code: 'stale_attempt' });
  await t.throwsAsync(old.finish(lost), { code: 'stale_attempt' });
});

testOnEngines('A worker that never registered cannot claim', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const stranger = new TestWorker(compute.api, '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11');
  await t.throwsAsync(stranger.claim(), { code: 'not_found' });
});

testOnEngines('A result of another model than the ordered one is refused', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const claim = await worker.mustClaim();
  const result = { ...resultOf(claim), uuid: '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11' };
  await t.throwsAsync(worker.report(claim, { outcome: 'done', result }), { code: 'invalid_request' });
  t.is(await worker.finish(claim), 'pending');
});

testOnEngines(
  'While storage is away an order with a result waits, and is done afterwards',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const worker = await compute.worker();
    const body = aLearnuplet();
    await compute.api.learn({ body });
    compute.broken.storage = away();
    await worker.finish(await worker.mustClaim());
    await eventually(t, async (t) => {
      t.is((await compute.api.whyOrder({ params: { id: body.uuid } })).code, 'publishing');
      const row = await compute.database.read.selectFrom('outbox').select('tries').executeTakeFirst();
      t.true((row?.tries ?? 0) >= 2);
    });
    await t.throwsAsync(compute.api.cancelOrder({ params: { id: body.uuid } }), { code: 'wrong_state' });
    delete compute.broken.storage;
    await eventually(t, async (t) =>
      t.is((await compute.api.getOrder({ params: { id: body.uuid } })).status, 'done'),
    );
  },
);

testOnEngines(
  'While the orchestrator is away its messages wait, in their order',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const worker = await compute.worker();
    const body = aLearnuplet();
    compute.broken.orchestrator = away();
    await compute.api.learn({ body });
    await worker.fail(await worker.mustClaim());
    await eventually(t, async (t) => {
      const rows = await compute.database.read
        .selectFrom('outbox')
        .selectAll()
        .where('lane', '=', 'orchestrator')
        .orderBy('n')
        .execute();
      t.is(rows.length, 2);
      t.true((rows[0]?.tries ?? 0) >= 2);
    });
    delete compute.broken.orchestrator;
    await eventually(t, (t) => {
      const told = compute.calls.filter((call) => call.startsWith('taken') || call.startsWith('learndone'));
      t.deepEqual(told, [
        `taken learnuplet ${body.uuid} ${worker.id}`,
        `learndone ${body.uuid} {"status":"failed"}`,
      ]);
    });
  },
);

testOnEngines(
  'An order that loses every worker it meets fails after the last attempt, and others go on',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ attempts: 2 });
    const poison = aLearnuplet();
    await compute.api.learn({ body: poison });
    let worker = await compute.worker();
    for (const attempt of [1, 2]) {
      await eventually(t, async (t) => t.is((await worker.claim())?.attempt, attempt));
      worker = await TestWorker.register(compute.api, worker.id);
    }
    const view = await compute.api.getOrder({ params: { id: poison.uuid } });
    t.like(view, { status: 'failed', failure: { reason: 'worker_lost' } });
    t.regex(view.failure?.message ?? '', /its process was started again\. That was attempt 2 of 2\.$/);
    await compute.api.learn({ body: aLearnuplet() });
    t.is((await worker.mustClaim()).attempt, 1);
  },
);

testOnEngines('An orchestrator that knows already is not called again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  compute.broken.orchestrator = new PlatformError('invalid_request', `no update of learnuplet ${body.uuid}`);
  await worker.fail(await worker.mustClaim());
  await eventually(t, async (t) => {
    t.deepEqual(await compute.database.read.selectFrom('outbox').selectAll().execute(), []);
    const told = await compute.database.read
      .selectFrom('events')
      .select('n')
      .where('what', '=', 'told')
      .execute();
    t.is(told.length, 2);
  });
});

testOnEngines('An orchestrator that refuses otherwise is called again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  compute.broken.orchestrator = new PlatformError('unauthenticated', 'Unauthorized Access');
  await worker.fail(await worker.mustClaim());
  await eventually(t, async (t) => {
    const [row] = await compute.database.read
      .selectFrom('outbox')
      .selectAll()
      .where('lane', '=', 'orchestrator')
      .orderBy('n')
      .execute();
    t.true((row?.tries ?? 0) >= 3);
    t.is(row?.last_error, 'Unauthorized Access');
  });
});
