import type { AttemptEvent, Claim } from '@morpheo/common';
import { ComputeDatabase } from '../db/database.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet } from '../testing/orders.ts';
import { resultOf } from '../testing/test-worker.ts';
import { toldBy } from './events.ts';
import { takeAttempts } from './fence.ts';

const EVENTS: AttemptEvent[] = [
  { what: 'started', seq: 0, step: 'train', ago_ms: 200 },
  { what: 'log', seq: 1, step: 'train', stream: 'stdout', text: 'epoch 1', ago_ms: 100 },
  { what: 'ended', seq: 2, record: { step: 'train', seconds: 0.2 }, ago_ms: 10 },
  { what: 'started', seq: 3, step: 'perf' },
];

const HISTORY = ['step_started', 'step_ended', 'step_started'];

function tell(compute: TestCompute, { order, attempt }: Claim, events: AttemptEvent[]) {
  return compute.api.noteEvents({ params: { id: order, attempt }, body: { events } });
}

async function historyOf(compute: TestCompute, id: string) {
  const rows = await compute.database.read
    .selectFrom('events')
    .selectAll()
    .where('order_id', '=', id)
    .orderBy('n')
    .execute();
  return rows.map(({ what, at, details }) => ({
    what,
    at: Number(at),
    details: JSON.parse(details) as unknown,
  }));
}

async function stepsOf(compute: TestCompute, id: string) {
  const history = await historyOf(compute, id);
  return history.filter(({ what }) => what.startsWith('step_') || what === 'metrics');
}

async function logOf(compute: TestCompute, id: string): Promise<string[]> {
  const rows = await compute.database.read
    .selectFrom('logs')
    .select('text')
    .where('order_id', '=', id)
    .orderBy('seq')
    .execute();
  return rows.map(({ text }) => text);
}

testOnEngines(
  'Events are kept in their order, at their times, and once though they are told twice',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker();
    await compute.api.learn({ body: aLearnuplet() });
    const claim = await worker.mustClaim();
    await Promise.all([tell(compute, claim, EVENTS), tell(compute, claim, EVENTS)]);
    await tell(compute, claim, EVENTS.slice(1));
    const steps = await stepsOf(compute, claim.order);
    t.deepEqual(
      steps.map(({ what }) => what),
      HISTORY,
    );
    const times = steps.map(({ at }) => at);
    t.deepEqual(times, times.toSorted());
    const claimedAt = (await historyOf(compute, claim.order)).find(({ what }) => what === 'claimed')?.at;
    t.true((times[0] ?? 0) >= (claimedAt ?? 0));
    t.deepEqual(await logOf(compute, claim.order), ['epoch 1']);
  },
);

testOnEngines(
  'Of attempts that tell at once, one that is refused keeps no other from being heard',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker({ learn: 3, predict: 0 });
    for (let n = 0; n < 3; n += 1) await compute.api.learn({ body: aLearnuplet() });
    const claims = [await worker.mustClaim(), await worker.mustClaim(), await worker.mustClaim()] as const;
    const [stale, , jobless] = claims;
    await compute.api.cancelOrder({ params: { id: stale.order } });
    const lines = { what: 'metrics', seq: 4, from: 0, lines: [{ loss: 1 }] } as const;
    const told = await Promise.allSettled(
      claims.map((claim) =>
        tell(compute, claim, claim === jobless ? [...EVENTS, { ...lines, lines: [{}] }] : EVENTS),
      ),
    );
    t.deepEqual(
      told.map(({ status }) => status),
      ['rejected', 'fulfilled', 'rejected'],
    );
    t.is((await stepsOf(compute, claims[1].order)).length, 3);
    t.deepEqual(await stepsOf(compute, jobless.order), []);
    t.deepEqual(await logOf(compute, jobless.order), []);
  },
);

testOnEngines(
  'A report brings what happened last; of that, what does not fit is left out',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker({ learn: 0, predict: 0, job: 1 }, 0, 1, { runtime: 'docker' });
    await compute.api.postJob({ body: aJob() });
    const claim = await worker.mustClaim(0, ['job']);
    await tell(compute, claim, EVENTS.slice(0, 2));
    const gap: AttemptEvent = { what: 'metrics', seq: 4, from: 7, lines: [{ loss: 1 }] };
    const lines: AttemptEvent = { what: 'metrics', seq: 5, from: 0, lines: [{ loss: 2 }] };
    const report = { outcome: 'done', result: resultOf(claim), events: [...EVENTS, gap, lines] } as const;
    t.is(await worker.report(claim, { ...report, events: [...report.events] }), 'pending');
    await worker.report(claim, { ...report, events: [...report.events] });
    const steps = await stepsOf(compute, claim.order);
    t.deepEqual(
      steps.map(({ what }) => what),
      [...HISTORY, 'metrics'],
    );
    t.deepEqual(steps.at(-1)?.details, { from: 0, lines: [{ loss: 2 }] });
    const history = (await historyOf(compute, claim.order)).map(({ what }) => what);
    t.is(history.indexOf('publishing'), history.indexOf('metrics') + 1);
    t.deepEqual(await logOf(compute, claim.order), ['epoch 1']);
  },
);

testOnEngines('A canary in what a report brings of the log fails the order', async (t, open) => {
  await using compute = await open();
  compute.checks.canaries = ['planted-canary-0123456789'];
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const claim = await worker.mustClaim();
  const log = { what: 'log', step: 'train', stream: 'stdout' } as const;
  await tell(compute, claim, [{ ...log, seq: 0, text: 'x planted-canary-' }]);
  const result = resultOf(claim);
  const events: AttemptEvent[] = [{ ...log, seq: 1, text: '0123456789 x' }];
  t.is(await worker.report(claim, { outcome: 'done', result, events }), 'failed');
  t.like(await compute.api.getOrder({ params: { id: claim.order } }), {
    failure: { reason: 'withheld' },
  });
});

testOnEngines('Whenever events happened, the same statements write them', async (t, open) => {
  await using compute = await open();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const ref = await worker.mustClaim();
  await new ComputeDatabase(compute.database, []).write(async (tx) => {
    const [taken] = await takeAttempts(tx, [{ ...ref, caller: null }]);
    if (taken?.status !== 'fulfilled') throw new Error('The attempt was not taken');
    const texts = [5, 70].map((ago_ms) => {
      const events = EVENTS.map((event) => ({ ...event, ago_ms }));
      return toldBy(tx, taken.value, events).changes.map(({ at }) => at?.compile(tx.db).sql);
    });
    t.is(texts[0]?.length, 3);
    t.deepEqual(texts[0], texts[1]);
  });
});
