import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Call, isPlatformError, type Learnuplet, NIL_UUID } from '@morpheo/common';
import { type Database, openSqlite } from '@morpheo/service/database';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute, type TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, seedGroup } from '../testing/orders.ts';
import { watchedDatabase } from '../testing/watched-database.ts';

const ann: Call = { principal: { name: 'ann', roles: ['orchestrator'], isPerson: true } };
const SWEEP = { params: { name: 'sweep' }, query: {} };
const KEY = { owner: 'ann', name: 'sweep' };
const NONE = { waiting: 0, todo: 0, pending: 0, done: 0, failed: 0, cancelled: 0 };

/** How often each order of the group ended, by what its history says. */
async function endsOf({ database }: Pick<TestCompute, 'database'>): Promise<number[]> {
  const rows = await database.read
    .selectFrom('events')
    .innerJoin('orders', 'orders.id', 'events.order_id')
    .select('order_id')
    .where('group_name', '=', 'sweep')
    .where('what', 'in', ['done', 'failed', 'cancelled'])
    .execute();
  return [...Map.groupBy(rows, ({ order_id }) => order_id).values()].map(({ length }) => length);
}

testOnEngines(
  'All orders of a group that have not ended are cancelled at once',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api } = compute;
    const worker = await compute.worker();
    const other = aLearnuplet({ group: 'other' });
    for (const group of ['sweep', 'sweep', 'sweep']) await api.learn({ body: aLearnuplet({ group }) }, ann);
    await api.learn({ body: other }, ann);
    await worker.finish(await worker.mustClaim());
    const running = await worker.mustClaim();
    t.like((await api.cancelOrderGroup(SWEEP, ann)).asked, { what: 'cancel', by: 'ann' });
    await eventually(t, async (t) => t.false((await api.getOrderGroup(SWEEP, ann)).asked?.under_way));
    await t.throwsAsync(worker.finish(running), { code: 'stale_attempt' });
    await eventually(t, async (t) =>
      t.deepEqual((await api.getOrderGroup(SWEEP, ann)).counts, { ...NONE, done: 1, cancelled: 2 }),
    );
    t.is((await api.getOrder({ params: { id: other.uuid } })).status, 'todo');
    t.like(await api.getOrder({ params: { id: running.order } }), {
      failure: { reason: 'cancelled', message: 'Cancelled by ann.' },
    });
    t.is((await api.cancelOrderGroup(SWEEP, ann)).counts.cancelled, 2);
  },
);

test('Many are cancelled some at a time, and by the next process where one dies', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-groups-'));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const file = join(folder, 'compute.db');
  const sizes: number[] = [];
  {
    await using database = await openSqlite<Schema>({ file, migrations });
    // What is asked is on disk; the first are cancelled in the second transaction.
    const mortal = watchedDatabase(database, async (tx, work) => {
      const asked = tx.selectFrom('order_groups').select('name').where('under_way', '=', 1);
      if ((await asked.execute()).length > 0) throw new Error('The process is dead.');
      return await work();
    });
    await using compute = await openTestCompute({}, mortal);
    await seedGroup({ database }, KEY, [
      ...Array.from({ length: 130 }, () => 'todo' as const),
      'done',
      'failed',
    ]);
    await t.throwsAsync(compute.api.cancelOrderGroup(SWEEP, ann), { message: 'The process is dead.' });
    t.is((await compute.api.getOrderGroup(SWEEP, ann)).counts.todo, 130);
  }
  await using database = await openSqlite<Schema>({ file, migrations });
  await using compute = await openTestCompute({}, counting(database, sizes));
  await eventually(t, async (t) => {
    const { counts, asked } = await compute.api.getOrderGroup(SWEEP, ann);
    t.deepEqual(counts, { ...NONE, done: 1, failed: 1, cancelled: 130 });
    t.is(asked?.under_way, false);
  });
  t.deepEqual(
    sizes.filter((size) => size > 0),
    [50, 50, 30],
  );
});

/** The same database; `sizes` gets how many orders each transaction cancelled. */
function counting(database: Database<Schema>, sizes: number[]): Database<Schema> {
  return watchedDatabase(database, async (tx, work) => {
    const read = async () => {
      const cancelled = tx.selectFrom('orders').select('id').where('status', '=', 'cancelled');
      return (await cancelled.execute()).length;
    };
    const before = await read();
    const result = await work();
    sizes.push((await read()) - before);
    return result;
  });
}

testOnEngines('Orders that end while their group is cancelled end once', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const worker = await compute.worker({ learn: 12, predict: 0 });
  for (let n = 0; n < 12; n++) await api.learn({ body: aLearnuplet({ group: 'sweep' }) }, ann);
  const claims = [];
  for (let n = 0; n < 8; n++) claims.push(await worker.mustClaim());
  const reports = claims.map(
    async (claim, n) => await (n % 2 === 0 ? worker.finish(claim) : worker.fail(claim)),
  );
  const [, ...reported] = await Promise.allSettled([api.cancelOrderGroup(SWEEP, ann), ...reports]);
  for (const one of reported)
    t.true(one.status === 'fulfilled' || isPlatformError(one.reason, 'stale_attempt'));
  await eventually(t, async (t) => {
    const { counts } = await api.getOrderGroup(SWEEP, ann);
    t.is(counts.done + counts.failed + counts.cancelled, 12);
    t.is(counts.done + counts.failed, reported.filter(({ status }) => status === 'fulfilled').length);
  });
  t.deepEqual(await endsOf(compute), Array(12).fill(1));
});

testOnEngines(
  'Whatever is placed in a group while it is cancelled is cancelled or refused',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api, unchecked } = compute;
    const first = aLearnuplet({ group: 'sweep' });
    await api.learn({ body: first }, ann);
    const place = async (rank: number) => {
      const body = aLearnuplet({ group: 'sweep', rank, model_start: first.model_end });
      return await unchecked.learn({ body }, ann);
    };
    const placed = [0, 1, 0, 1, 0, 1].map(place);
    const [cancelled, ...answers] = await Promise.allSettled([api.cancelOrderGroup(SWEEP, ann), ...placed]);
    t.is(cancelled.status, 'fulfilled');
    const refused = answers.filter((one) => one.status === 'rejected');
    for (const { reason } of refused) {
      t.is(reason.code, 'wrong_state');
      t.regex(reason.message, /^The group sweep of ann was cancelled/);
    }
    await eventually(t, async (t) => {
      const { counts } = await api.getOrderGroup(SWEEP, ann);
      t.deepEqual(counts, { ...NONE, cancelled: 7 - refused.length });
    });
    await t.throwsAsync(place(0), { code: 'wrong_state' });
    await api.retryOrderGroup({ ...SWEEP, body: {} }, ann);
    await t.notThrowsAsync(place(0));
  },
);

testOnEngines(
  'A chain is cancelled as a whole, and begins again in its order',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api } = compute;
    const worker = await compute.worker();
    // By their ids each is later than the one that waits for it, and by their time none.
    const ids = Array.from({ length: 4 }, () => randomUUID()).toSorted((one, other) =>
      one < other ? 1 : -1,
    );
    const chain: Learnuplet[] = [];
    for (const [rank, uuid] of ids.entries()) {
      const model_start = chain.at(-1)?.model_end ?? NIL_UUID;
      chain.push(aLearnuplet({ uuid, group: 'sweep', rank, model_start }));
    }
    for (const body of chain) await api.learn({ body }, ann);
    await compute.database.write(async (tx) => {
      await tx.updateTable('orders').set({ created_at: 1 }).execute();
    });
    await api.cancelOrderGroup(SWEEP, ann);
    await eventually(t, async (t) =>
      t.deepEqual((await api.getOrderGroup(SWEEP, ann)).counts, { ...NONE, cancelled: 4 }),
    );
    t.is((await api.retryOrderGroup({ ...SWEEP, body: {} }, ann)).counts.cancelled, 4);
    await api.retryOrderGroup({ ...SWEEP, body: { cancelled: true } }, ann);
    for (const { uuid } of chain) {
      const claim = await worker.mustClaim();
      t.is(claim.order, uuid);
      await worker.finish(claim);
    }
    await eventually(t, async (t) =>
      t.deepEqual((await api.getOrderGroup(SWEEP, ann)).counts, { ...NONE, done: 4 }),
    );
  },
);

testOnEngines(
  'Those that failed are tried again once, and what is done or cancelled stays so',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api, checks } = compute;
    // Storage refuses them again, while others are begun.
    checks.refuse = ({ order }) => ({
      outcome: 'refused',
      order,
      reason: 'forbidden',
      message: 'No.',
      missing: [],
    });
    const states = Array.from({ length: 70 }, () => 'failed' as const);
    await seedGroup(compute, KEY, [...states, 'done', 'cancelled']);
    await api.retryOrderGroup({ ...SWEEP, body: {} }, ann);
    await eventually(t, async (t) => {
      const { counts, failures, asked } = await api.getOrderGroup(SWEEP, ann);
      t.deepEqual(counts, { ...NONE, failed: 70, done: 1, cancelled: 1 });
      t.deepEqual(failures, { forbidden: 70 });
      t.like(asked, { what: 'retry', under_way: false });
    });
    const retried = await compute.database.read
      .selectFrom('events')
      .select('order_id')
      .where('what', '=', 'retried')
      .execute();
    t.is(new Set(retried.map(({ order_id }) => order_id)).size, 70);
    t.is(retried.length, 70);
  },
);

test('Orders that name the models of one another begin again', async (t) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const [one, other] = [aLearnuplet({ group: 'sweep', rank: 1 }), aLearnuplet({ group: 'sweep', rank: 1 })];
  await api.learn({ body: { ...one, model_start: other.model_end } }, ann);
  await api.cancelOrderGroup(SWEEP, ann);
  await api.retryOrderGroup({ ...SWEEP, body: {} }, ann);
  await api.learn({ body: { ...other, model_start: one.model_end } }, ann);
  await api.cancelOrderGroup(SWEEP, ann);
  t.is((await api.retryOrderGroup({ ...SWEEP, body: { cancelled: true } }, ann)).counts.cancelled, 0);
  await api.cancelOrderGroup(SWEEP, ann);
  t.is((await api.getOrderGroup(SWEEP, ann)).counts.cancelled, 2);
});

test('What is not there can be neither cancelled nor retried, and nothing is made of it', async (t) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const nothing = { params: { name: randomUUID() }, query: {} };
  await t.throwsAsync(api.cancelOrderGroup(nothing, ann), { code: 'not_found' });
  await t.throwsAsync(api.retryOrderGroup({ ...nothing, body: {} }, ann), { code: 'not_found' });
  t.is((await api.listOrderGroups({ query: {} }, ann)).total, 0);
});
