import { randomUUID } from 'node:crypto';
import type { Database } from '@morpheo/service/database';
import { onEngines, type RecordedQueries, recordQueries } from '@morpheo/service/database/testing';
import { createMetrics } from '@morpheo/service/metrics';
import test from 'ava';
import { sql } from 'kysely';
import { measureQueue } from '../observe/queue-metrics.ts';
import { openTestCompute, type TestCompute } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { retentionOf } from '../testing/retention.ts';
import { aSearch } from '../testing/searches.ts';
import { ComputeDatabase } from './database.ts';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';

/** The tables that grow with every order. */
const GROWS = [
  ...['orders', 'other', 'order_groups', 'attempts', 'events', 'logs'],
  ...['outbox', 'removed_orders', 'foreign_messages', 'order_labels', 'order_inputs'],
  ...['searches', 'search_trials', 'search_runs'],
];

/** What may be read through, and why. */
const READ_THROUGH: readonly RegExp[] = [
  // A page of all orders, newest first: as many rows as it has.
  /^SCAN orders USING (COVERING )?INDEX orders_newest: .* from "orders" where \(1 = 1 and true\) order by "created_at" desc, "id" desc limit (\?|\$\d+)/,
  // How many there are, up to a bound.
  /^SCAN orders USING (COVERING )?INDEX \w+: .*select 1 as "one" from "orders" where 1 = 1 limit (\?|\$\d+)/,
  // What is due to other systems, which grows while they are away.
  /^SCAN outbox: select "lane", count\(\*\) as "n", .* group by "lane"$/,
  // The groups of which something is being carried out: an index of these alone.
  /^SCAN order_groups USING INDEX order_groups_under_way: .* where under_way = 1 .* limit (\?|\$1)/,
  // Those that are to run alone: likewise.
  /^SCAN orders USING INDEX orders_alone: /,
  // What part of the claims each owner gets: an index of the orders that are due alone.
  /^SCAN orders USING INDEX orders_turn: .* from \(select distinct kind, owner from orders where status = 'todo'\) as due /,
  // The order that is the last of those which may stay, where only so many may: nobody waits for it.
  /^SCAN orders USING (COVERING )?INDEX orders_ended: .* order by "ended_at" desc, "id" desc limit (\?|\$1) offset (\?|\$2)$/,
  // What searches wait for: an index of that alone.
  /^SCAN search_runs USING (COVERING )?INDEX search_runs_open: /,
  // Of these tests: see `openTestCompute`.
  /^SCAN outbox: select "n" from "outbox" where "effect" = (\?|\$1) limit (\?|\$2)$/,
];

/** Indexes that no query of this test needs, and what needs them: orders that GPUs are kept for, which are rare. */
const NEEDED_ELSEWHERE = {
  orders_kept: 'the orders that a worker keeps GPUs for: takeReserved',
};

const testOnEngines = onEngines<Schema>(test, { owner: 'compute_api', migrations });

testOnEngines('No query of a service looks through a table that grows', async (t, engine) => {
  await using place = await engine.place();
  await using database = await place.open();
  const recorded = recordQueries(database);
  await using compute = await openTestCompute({}, recorded.database);
  await callEverything(compute);
  const metrics = createMetrics();
  measureQueue(metrics, new ComputeDatabase(recorded.database, []), 30_000);
  await metrics.expose();
  const { queries, scans } = await recorded.scansOf(GROWS);
  t.true(queries > 60, String(queries));
  t.deepEqual(
    scans.filter((scan) => !READ_THROUGH.some((one) => one.test(scan))),
    [],
  );
  if (database.engine === 'sqlite') {
    const idle = (await idleIndexes(database, recorded)).toSorted((a, b) => (a < b ? -1 : 1));
    t.deepEqual(idle, Object.keys(NEEDED_ELSEWHERE), 'what no query needs costs every order');
  }
});

/** The indexes of tables that grow by which none of the queries goes. */
async function idleIndexes(
  { read }: Database<Schema>,
  recorded: RecordedQueries<Schema>,
): Promise<readonly string[]> {
  const used = await recorded.usedIndexes();
  const { rows } = await sql<{ name: string }>`
    select name from sqlite_master
    where type = 'index' and sql is not null and tbl_name in (${sql.join(GROWS)})`.execute(read);
  return rows.map(({ name }) => name).filter((name) => !used.has(name));
}

/** Calls what compute-api answers, so that each of its queries is made once at least. */
async function callEverything(compute: TestCompute): Promise<void> {
  const { api, worker: register } = compute;
  const worker = await register({ learn: 4, predict: 4 });
  const group = 'sweep';
  const [done, lost, cancelled, failed] = [
    aLearnuplet({ group }),
    aLearnuplet({ group }),
    aLearnuplet(),
    aPreduplet(),
  ];
  const next = aLearnuplet({ rank: 1, algo: done.algo, model_start: done.model_end });
  for (const body of [done, lost, cancelled, next]) await api.learn({ body });
  await api.pred({ body: failed });
  for (let n = 0; n < 3; n++) {
    const claim = await worker.mustClaim();
    const params = { id: claim.order, attempt: claim.attempt };
    await api.noteStep({ params, body: { what: 'started', step: 'train' } });
    const chunk = { seq: 0, step: 'train' as const, stream: 'stdout' as const, text: 'a line' };
    await api.appendLog({ params, body: { chunks: [chunk] } });
    const attempts = [{ order: claim.order, attempt: claim.attempt }];
    await api.renewLeases({ params: { worker: worker.id }, body: { boot: worker.boot, attempts } });
    await lookAtOrders({ api }, claim.order);
    if (claim.order === done.uuid) await worker.finish(claim);
    else if (claim.order === lost.uuid) await worker.restart([]);
    else await worker.fail(claim);
  }
  for (const body of [cancelled, failed]) {
    const params = { id: body.uuid };
    await lookAtOrders({ api }, body.uuid);
    const { status } = await api.getOrder({ params });
    if (status !== 'failed') await api.cancelOrder({ params });
    await api.retryOrder({ params });
  }
  await runJob(compute);
  await runSearch(compute);
  await lookAtOrders({ api }, done.uuid);
  await lookAtGroup({ api }, group);
  const nothingKept = { ordersMs: -1000, mostOrders: 1, logsMs: -1000, idsMs: -1000, best: 1 };
  const retention = retentionOf(compute, { ...nothingKept, removeOutputs: true });
  await retention.plan();
  await retention.remove();
  await retention.remove();
}

async function runJob({ api, worker: register }: TestCompute): Promise<void> {
  const worker = await register({ learn: 0, predict: 0, job: 1 }, 0, 1, { runtime: 'docker' });
  const resource = { type: 'output' as const, uuid: randomUUID() };
  const job = aJob({ labels: { run: '7' }, inputs: [{ path: '/in', resource }] });
  await api.postJob({ body: job });
  const claim = await worker.mustClaim(0, ['job']);
  const params = { id: claim.order, attempt: claim.attempt };
  await api.noteMetrics({ params, body: { from: 0, lines: [{ step: 1 }] } });
  await worker.finish(claim);
}

async function runSearch({ api, worker: register }: TestCompute): Promise<void> {
  const worker = await register({ learn: 0, predict: 0, job: 1 });
  const body = aSearch({ control: true });
  const params = { uuid: body.uuid };
  await api.postSearch({ body });
  await worker.finish(await worker.mustClaim(0, ['job']));
  await worker.finish(await worker.mustClaim(0, ['job']));
  await api.listSearches({ query: {} });
  await api.listSearches({ query: { cursor: `1.${body.uuid}` } });
  await api.listTrials({ params, query: { cursor: '1' } });
  await api.cancelSearch({ params });
  await Array.fromAsync(await api.searchEvents({ params, headers: {} }));
}

async function lookAtGroup({ api }: Pick<TestCompute, 'api'>, name: string): Promise<void> {
  const one = { params: { name }, query: {} };
  await api.listOrderGroups({ query: {} });
  await api.listOrderGroups({ query: { cursor: '1.x' } });
  await api.listOrders({ query: { group: name } });
  await api.listOrders({ query: { group: name, status: 'done' } });
  await api.getOrderGroup(one);
  await api.cancelOrderGroup(one);
  await Array.fromAsync(await api.orderGroupEvents(one));
  await api.retryOrderGroup({ ...one, body: {} });
  await api.retryOrderGroup({ ...one, body: { cancelled: true } });
}

async function lookAtOrders({ api }: Pick<TestCompute, 'api'>, id: string): Promise<void> {
  const { problem, algo } = { problem: randomUUID(), algo: randomUUID() };
  const filters = [
    {},
    { kind: 'learn' as const },
    { status: 'failed' as const },
    { problem },
    { algo },
    { owner: 'ada' },
    { label: 'run=7' },
    { kind: 'job' as const, label: 'run=7' },
    { kind: 'learn' as const, owner: 'ada' },
    ...(['todo', 'done', 'failed'] as const).flatMap((status) => [
      { kind: 'learn' as const, status },
      ...[{ problem }, { algo }, { owner: 'ada' }].map((by) => ({ ...by, status })),
    ]),
  ];
  for (const query of filters) {
    await api.listOrders({ query });
    await api.listOrders({ query: { ...query, cursor: `1.${algo}` } });
  }
  await api.getOrder({ params: { id } });
  await api.whyOrder({ params: { id } });
  await api.orderLog({ params: { id }, query: {} });
  await api.listWorkers({});
  await api.listOwners({ query: {} });
  await api.getOwner({ params: { owner: 'ada' } });
  await api.getQueue({});
}
