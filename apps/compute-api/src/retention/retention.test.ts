import { randomUUID } from 'node:crypto';
import type { Database } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';
import { createMetrics } from '@morpheo/service/metrics';
import { eventually } from '@morpheo/service/testing';
import { sql } from 'kysely';
import { ComputeDatabase } from '../db/database.ts';
import { fillScores } from '../db/fill-scores.ts';
import type { Schema } from '../db/schema.ts';
import { countRemovals } from '../observe/metrics.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { age, ended, HOUR_MS, remaining, retentionOf, rowCounts } from '../testing/retention.ts';
import { watchedDatabase } from '../testing/watched-database.ts';
import { endOfKept } from './candidates.ts';
import { keepRemoving, type Retention } from './retention.ts';
import { RETENTION_DEFAULTS } from './settings.ts';

testOnEngines(
  'An order that has ended long ago goes with its history and log, and a younger one stays whole',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const young = await ended(t, compute);
    const before = await rowCounts(compute);
    const old = [await ended(t, compute), await ended(t, compute, 0.5)].map(({ uuid }) => uuid);
    await age(compute, 2, ...old);
    const { orders, logs, outputs, next } = await retentionOf(compute).remove();
    t.deepEqual(orders, { learn: 2, predict: 0, job: 0 });
    t.deepEqual(logs, { count: 2, bytes: 12 });
    t.deepEqual(outputs, { count: 0, bytes: 0 });
    t.is(next, undefined);
    t.deepEqual(await rowCounts(compute), { ...before, removed_orders: 2 });
    t.deepEqual(await remaining(compute, [young.uuid, ...old]), [young.uuid]);
  },
);

testOnEngines(
  'More orders than are to be kept go, the oldest first, whatever their age',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) ids.push((await ended(t, compute)).uuid);
    for (const [n, id] of ids.entries()) await age(compute, (4 - n) / 100, id);
    const retention = retentionOf(compute, { mostOrders: 2 });
    await retention.remove();
    t.deepEqual(await remaining(compute, ids), ids.slice(2));
    await retention.remove();
    t.deepEqual(await remaining(compute, ids), ids.slice(2));
    await age(compute, 2, ids[2] ?? '');
    await retention.remove();
    t.deepEqual(await remaining(compute, ids), ids.slice(3), 'by its age');
  },
);

testOnEngines('The newest orders are counted a step at a time', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { read } = compute.database;
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) ids.push((await ended(t, compute)).uuid);
  for (const [n, id] of ids.entries()) await age(compute, n, id);
  const lastOf = async (mostOrders: number, step: number) =>
    (await endOfKept(read, { ordersMs: null, mostOrders }, 0, step))?.id;
  for (const step of [1, 2, 3, 100]) {
    for (const most of [1, 2, 3, 4, 5]) t.is(await lastOf(most, step), ids[most - 1], `${most} by ${step}`);
    t.is(await lastOf(6, step), undefined);
  }
});

testOnEngines(
  'What is removed is counted, and what messages called the orders goes with them',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { uuid: order_id } = await ended(t, compute);
    await compute.database.write(async (tx) => {
      await tx.insertInto('foreign_messages').values({ id: randomUUID(), order_id }).execute();
    });
    await age(compute, 2, order_id);
    const metrics = createMetrics();
    const { history } = await retentionOf(compute, {}, { removed: countRemovals(metrics) }).remove();
    const figures = await metrics.expose();
    t.regex(figures, /^morpheo_compute_retention_removed_total\{what="orders"\} 1$/m);
    t.regex(figures, /^morpheo_compute_retention_removed_bytes_total\{what="logs"\} 6$/m);
    t.true(figures.includes(`removed_total{what="history"} ${history.count}`));
    t.deepEqual(await compute.database.read.selectFrom('foreign_messages').selectAll().execute(), []);
  },
);

testOnEngines('A log may go earlier than its order, which then says so', async (t, openTestCompute) => {
  await using compute = await openTestCompute({
    retention: { ...RETENTION_DEFAULTS, logsMs: HOUR_MS, everyMs: 100 * HOUR_MS },
  });
  const [old, young] = [await ended(t, compute, 0.5), await ended(t, compute)];
  await age(compute, 2, old.uuid);
  const before = await rowCounts(compute);
  const retention = retentionOf(compute, { ordersMs: 10 * HOUR_MS, logsMs: HOUR_MS });
  t.like(await retention.remove(), { logs: { count: 1, bytes: 6 }, history: { count: 0 } });
  t.deepEqual(await rowCounts(compute), { ...before, logs: 1 });
  t.like(await retention.remove(), { logs: { count: 0, bytes: 0 } });
  const logOf = async (id: string) => {
    const { body } = await compute.api.orderLog({ params: { id }, query: {} });
    return await new Response(body).text();
  };
  t.is(await logOf(old.uuid), 'The log of this order was removed because of its age.\n');
  t.regex(await logOf(young.uuid), /a line/);
});

/** Calls until there is no more. */
async function slices(call: Retention['plan']) {
  const all = [];
  let from: string | undefined;
  do {
    const slice = await call(from);
    all.push(slice);
    from = slice.next;
  } while (from !== undefined);
  return all;
}

testOnEngines('A dry run tells what then goes, and removes nothing', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const old: string[] = [];
  for (const perf of [undefined, 0.5, 0.6]) {
    const { uuid } = await ended(t, compute, perf, { workflow: '00000000-0000-4000-8000-000000000001' });
    old.push(uuid);
  }
  const [middle, young] = [await ended(t, compute), await ended(t, compute)];
  await age(compute, 3, ...old);
  await age(compute, 0.5, middle.uuid);
  const settings = { best: 1, logsMs: HOUR_MS / 4, removeOutputs: true };
  // So that each call takes one step alone.
  const retention = retentionOf(compute, { ...settings, callMs: 0 });
  const before = await rowCounts(compute);
  const planned = await slices(async (from) => await retention.plan(from));
  t.deepEqual(await rowCounts(compute), before);
  t.deepEqual(await slices(async (from) => await retention.remove(from)), planned);
  const [orders, logs, ids] = planned;
  t.like(orders, { orders: { learn: 2, predict: 0 }, outputs: { count: 1, bytes: 1 } });
  t.deepEqual(orders?.logs, { count: 2, bytes: 12 });
  t.like(logs, { logs: { count: 2, bytes: 12 }, history: { count: 0, bytes: 0 } });
  t.like(ids, { ids: 0, next: undefined });
  const after = await rowCounts(compute);
  const gone = (['orders', 'events', 'attempts'] as const).map((table) => before[table] - after[table]);
  t.is(
    orders?.history.count,
    gone.reduce((sum, rows) => sum + rows),
  );
  t.is(after.logs, 1);
  t.deepEqual(await remaining(compute, [...old, middle.uuid, young.uuid]), [
    old[2] ?? '',
    middle.uuid,
    young.uuid,
  ]);
});

testOnEngines(
  'No transaction removes more rows than its bound, and a stop between two leaves the rest to later ones',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { database } = compute;
    const { uuid } = await ended(t, compute);
    await age(compute, 2, uuid);
    await database.write(async (tx) => {
      const numbers = sql`(with recursive n (i) as (select 1 union all select i + 1 from n where i < 2500) select i from n)`;
      await sql`
        insert into logs (order_id, attempt, seq, at, step, stream, text)
        select ${uuid}, 1, i, 0, 'train', 'stdout', 'x' from ${numbers} as more`.execute(tx);
      await sql`
        insert into events (order_id, n, at, attempt, what, status, details)
        select ${uuid}, 100 + i, 0, 1, 'told', 'failed', '{}' from ${numbers} as more`.execute(tx);
    });
    const stop = new AbortController();
    const removed: number[] = [];
    const watched = watchedDatabase(database, async (tx, work) => {
      const count = async () => {
        const { rows } = await sql<{ n: number }>`
          select (select count(*) from logs) + (select count(*) from events) + (select count(*) from attempts) as n`.execute(
          tx,
        );
        return Number(rows[0]?.n);
      };
      const before = await count();
      const result = await work();
      removed.push(before - (await count()));
      stop.abort();
      return result;
    });
    const parts = { database: new ComputeDatabase(watched, []) };
    const { logs } = await retentionOf(compute, {}, parts).remove(undefined, stop.signal);
    t.deepEqual(removed, [1000]);
    t.is(logs.count, 1000);
    t.deepEqual(await remaining(compute, [uuid]), [uuid]);
    await retentionOf(compute, {}, parts).remove();
    t.deepEqual(await remaining(compute, [uuid]), []);
    t.true(removed.every((rows) => rows <= 1000));
    t.like(await rowCounts(compute), { orders: 0, events: 0, attempts: 0, logs: 0, removed_orders: 1 });
  },
);

testOnEngines(
  'What is undone in the middle of a transaction is removed later',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const ids = [(await ended(t, compute)).uuid, (await ended(t, compute, 0.5)).uuid];
    await age(compute, 2, ...ids);
    const before = await rowCounts(compute);
    const dying: Database<Schema> = watchedDatabase(compute.database, async (_tx, work) => {
      await work();
      throw new Error('killed');
    });
    await t.throwsAsync(retentionOf(compute, {}, { database: new ComputeDatabase(dying, []) }).remove(), {
      message: 'killed',
    });
    t.deepEqual(await rowCounts(compute), before);
    await retentionOf(compute).remove();
    t.deepEqual(await remaining(compute, ids), []);
  },
);

testOnEngines('Beside removals orders come in, run and end, and none is lost', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const ids: string[] = [];
  const stop = new AbortController();
  const retention = retentionOf(compute);
  const removing = (async () => {
    while (!stop.signal.aborted) await retention.remove();
  })();
  for (let n = 0; n < 6; n++) {
    const { uuid } = await ended(t, compute, 0.5);
    ids.push(uuid);
    if (n % 2 === 0) await age(compute, 2, uuid);
  }
  stop.abort();
  await removing;
  await retention.remove();
  t.deepEqual(
    await remaining(compute, ids),
    ids.filter((_, n) => n % 2 === 1),
  );
});

testOnEngines('Removals go on by themselves', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  await using _loop = keepRemoving(retentionOf(compute), { everyMs: 10, log: silentLog });
  const { uuid } = await ended(t, compute);
  await age(compute, 2, uuid);
  await eventually(t, async (t) => t.deepEqual(await remaining(compute, [uuid]), []));
});

testOnEngines('Orders from before there were scores are given theirs', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const bodies = [await ended(t, compute, 0.25), await ended(t, compute), await ended(t, compute, -3)];
  const scores = async () => {
    const rows = await compute.database.read.selectFrom('orders').select(['id', 'score']).execute();
    return bodies.map(({ uuid }) => rows.find(({ id }) => id === uuid)?.score);
  };
  t.deepEqual(await scores(), [0.25, null, -3]);
  await compute.database.write(async (tx) => {
    await tx.updateTable('orders').set({ score: null }).execute();
    await fillScores(tx);
  });
  t.deepEqual(await scores(), [0.25, null, -3]);
});
