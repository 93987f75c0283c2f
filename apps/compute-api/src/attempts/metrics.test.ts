import { type Call, MOST_METRICS } from '@morpheo/common';
import { sql } from 'kysely';
import { testOnEngines } from '../testing/on-engines.ts';
import { aJob } from '../testing/orders.ts';
import { settled } from '../testing/retention.ts';

const SLOTS = { learn: 0, predict: 0, job: 1 };
const as = (name: string): Call => ({ principal: { name, roles: ['orchestrator'], isPerson: true } });

testOnEngines('Each line of metrics stands once in the history of a job, in their order', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const worker = await compute.worker(SLOTS, 0, 1, { runtime: 'docker' });
  const job = aJob();
  await api.postJob({ body: job }, as('ann'));
  const claim = await worker.mustClaim(0, ['job']);
  const params = { id: job.uuid, attempt: claim.attempt };
  const lines = Array.from({ length: 5 }, (_, step) => ({ step, loss: 1 / (step + 1) }));
  const note = async (from: number, to: number) =>
    (await api.noteMetrics({ params, body: { from, lines: lines.slice(from, to) } })).next;
  t.is(await note(0, 2), 2);
  t.is(await note(0, 2), 2, 'the answer was lost');
  t.is(await note(1, 4), 4);
  t.is(await note(0, 0), 4);
  await t.throwsAsync(note(5, 5), { code: 'invalid_request', message: /4 at the most/ });
  await worker.finish(claim);
  await t.throwsAsync(note(4, 5), { code: 'stale_attempt' });
  await settled(t, compute, job.uuid);
  const history = async (call?: Call) =>
    (await Array.fromAsync(await api.orderEvents({ params, headers: {} }, call)))
      .map(({ data }) => data)
      .filter(({ what }) => what === 'metrics');
  t.deepEqual(
    (await history(as('ann'))).map(({ details }) => details),
    [
      { from: 0, lines: lines.slice(0, 2) },
      { from: 2, lines: lines.slice(2, 4) },
    ],
  );
  const page = async (query: { limit?: number; cursor?: string }, call = as('ann')) =>
    await api.orderMetrics({ params, query }, call);
  t.deepEqual(await page({}), { items: lines.slice(0, 4).map((line) => ({ attempt: 1, line })) });
  t.like(await page({ limit: 3 }), { items: { length: 3 }, next: '3' });
  t.deepEqual(await page({ limit: 3, cursor: '3' }), { items: [{ attempt: 1, line: lines[3] ?? {} }] });
  await t.throwsAsync(page({ cursor: 'x' }), { code: 'invalid_request' });
  compute.checks.readers = [];
  const closed = aJob();
  await api.postJob({ body: closed }, as('ann'));
  const other = await worker.mustClaim(0, ['job']);
  await api.noteMetrics({ params: { id: other.order, attempt: 1 }, body: { from: 0, lines } });
  await worker.fail(other);
  const events = await Array.fromAsync(
    await api.orderEvents({ params: { id: other.order }, headers: {} }, as('bob')),
  );
  t.notRegex(JSON.stringify(events), /loss/);
  t.deepEqual(await api.orderMetrics({ params: { id: other.order }, query: {} }, as('bob')), { items: [] });
});

testOnEngines('Lines beyond the bound of an attempt are counted and dropped', async (t, open) => {
  await using compute = await open();
  const { api, database } = compute;
  const worker = await compute.worker(SLOTS, 0, 1, { runtime: 'docker' });
  await api.postJob({ body: aJob() });
  const { order: id, attempt } = await worker.mustClaim(0, ['job']);
  await database.write(
    async (tx) =>
      await tx
        .updateTable('attempts')
        .set({ metrics: MOST_METRICS.lines - 1 })
        .execute(),
  );
  const body = { from: MOST_METRICS.lines - 1, lines: [{ n: 1 }, { n: 2 }] };
  t.is((await api.noteMetrics({ params: { id, attempt }, body })).next, MOST_METRICS.lines + 1);
  const { rows } = await sql<{ details: string }>`select details from events where what = 'metrics'`.execute(
    database.read,
  );
  t.deepEqual(
    rows.map(({ details }) => JSON.parse(details) as unknown),
    [{ from: body.from, lines: [{ n: 1 }] }],
  );
});
