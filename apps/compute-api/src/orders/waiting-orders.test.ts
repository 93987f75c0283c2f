import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sampleSize } from '@morpheo/real-parts';
import { type Database, openSqlite } from '@morpheo/service/database';
import { onEngines } from '@morpheo/service/database/testing';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { sql } from 'kysely';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, seedWaiting } from '../testing/orders.ts';
import { watchedDatabase } from '../testing/watched-database.ts';

const everywhere = onEngines<Schema>(test, { owner: 'compute_api', migrations });

/** How many wait for one order on the embedded database. */
const WAITING = sampleSize('WAITING', { small: 600, full: 1800 });
/** The most orders that one transaction may change, and a few more for what the orchestrator was told meanwhile. */
const MOST = 51;

/** The same database; `grew` gets by how many entries each transaction made histories longer. */
function counted(database: Database<Schema>, grew: number[]): Database<Schema> {
  // On SQLite transactions come one after the other; on PostgreSQL others commit meanwhile.
  const entries =
    database.engine === 'sqlite'
      ? sql<{ n: string }>`select max(rowid) as n from events`
      : sql<{ n: string }>`select n_tup_ins as n from pg_stat_xact_user_tables where relname = 'events'`;
  return watchedDatabase(database, async (tx, work) => {
    const read = async () => Number((await entries.execute(tx)).rows[0]?.n);
    const before = await read();
    const result = await work();
    grew.push((await read()) - before);
    return result;
  });
}

/** How often the histories of these orders have an entry. */
async function countEvents(
  { read }: Database<Schema>,
  what: 'failed' | 'ready',
): Promise<Map<string, number>> {
  const rows = await read.selectFrom('events').select('order_id').where('what', '=', what).execute();
  const counts = new Map<string, number>();
  for (const { order_id } of rows) counts.set(order_id, (counts.get(order_id) ?? 0) + 1);
  return counts;
}

async function eachOnce(
  t: ExecutionContext,
  database: Database<Schema>,
  what: 'failed' | 'ready',
  ids: readonly string[],
): Promise<void> {
  await eventually(t, async (t) => {
    const counts = await countEvents(database, what);
    t.is(ids.filter((id) => counts.get(id) === 1).length, ids.length);
    t.is(counts.size, ids.length);
  });
}

everywhere(
  'Many that wait for an order which fails, and for one another, fail some at a time',
  async (t, engine) => {
    await using place = await engine.place();
    await using database = await place.open();
    const grew: number[] = [];
    await using compute = await openTestCompute({}, counted(database, grew));
    const maker = aLearnuplet();
    await compute.api.learn({ body: maker });
    const ids = await seedWaiting(compute, maker.uuid, engine.name === 'sqlite' ? WAITING : 50);
    const [first = '', , last = ''] = ids;
    ids.push(...(await seedWaiting(compute, first, 120)));
    let deep = last;
    for (let rank = 0; rank < 70; rank++) {
      const [next = ''] = await seedWaiting(compute, deep, 1);
      ids.push(next);
      deep = next;
    }
    const worker = await compute.worker();
    const claim = await worker.mustClaim();
    grew.length = 0;
    await worker.fail(claim);
    await eachOnce(t, database, 'failed', [maker.uuid, ...ids]);
    t.true(Math.max(...grew) <= MOST, `a transaction changed ${Math.max(...grew)} orders`);
    const view = await compute.api.getOrder({ params: { id: deep } });
    t.regex(view.failure?.message ?? '', new RegExp(maker.uuid));
    await eventually(t, async (t) => {
      t.deepEqual(await database.read.selectFrom('outbox').select('effect').execute(), []);
      t.is(compute.calls.filter((call) => call.startsWith('learndone')).length, ids.length + 1);
    });
  },
);

everywhere(
  'Hundreds that wait for a model are checked some at a time once it is there',
  async (t, engine) => {
    await using place = await engine.place();
    await using database = await place.open();
    const grew: number[] = [];
    await using compute = await openTestCompute({}, counted(database, grew));
    const maker = aLearnuplet();
    await compute.api.learn({ body: maker });
    const ids = await seedWaiting(compute, maker.uuid, 120);
    const worker = await compute.worker();
    const claim = await worker.mustClaim();
    // Checks have transactions of their own, which change more.
    const { promise: isOver, resolve: check } = Promise.withResolvers<void>();
    compute.checks.before = isOver;
    grew.length = 0;
    await worker.finish(claim);
    try {
      await eachOnce(t, database, 'ready', ids);
      t.true(Math.max(...grew) <= MOST, `a transaction changed ${Math.max(...grew)} orders`);
    } finally {
      // Nothing is closed while checks are held up.
      check();
    }
    await eventually(t, async (t) => {
      t.is((await compute.api.listOrders({ query: { status: 'todo' } })).total, ids.length);
    });
  },
);

test('What waits for an order that begins again is left to its next end', async (t) => {
  await using compute = await openTestCompute();
  const { database } = compute;
  const maker = aLearnuplet();
  await compute.api.learn({ body: maker });
  const ids = await seedWaiting(compute, maker.uuid, 120);
  const params = { id: maker.uuid };
  // Together, so that the dispatcher has its turn after both.
  await Promise.all([compute.unchecked.cancelOrder({ params }), compute.unchecked.retryOrder({ params })]);
  const worker = await compute.worker();
  await worker.finish(await worker.mustClaim());
  await eventually(t, async (t) => {
    const failed = await countEvents(database, 'failed');
    const ready = await countEvents(database, 'ready');
    t.true(failed.size > 0 && ready.size > 0);
    t.true(ids.every((id) => (failed.get(id) ?? 0) + (ready.get(id) ?? 0) === 1));
  });
});

test('A process that dies while it ends those that wait leaves the rest to the next', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-waiting-'));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const file = join(folder, 'compute.db');
  const maker = aLearnuplet();
  const ids: string[] = [];
  {
    await using database = await openSqlite<Schema>({ file, migrations });
    // It dies with the transaction that cancels the order, and some of those that wait.
    const mortal = watchedDatabase(database, async (tx, work) => {
      const ended = tx.selectFrom('orders').select('id').where('status', '=', 'cancelled');
      if ((await ended.execute()).length > 0) throw new Error('The process is dead.');
      return await work();
    });
    await using compute = await openTestCompute({}, mortal);
    await compute.api.learn({ body: maker });
    ids.push(...(await seedWaiting({ database }, maker.uuid, 300)));
    ids.push(...(await seedWaiting({ database }, ids[7] ?? '', 100)));
    await compute.api.cancelOrder({ params: { id: maker.uuid } });
    t.true((await countEvents(database, 'failed')).size < ids.length);
  }
  await using database = await openSqlite<Schema>({ file, migrations });
  await using _compute = await openTestCompute(
    {},
    watchedDatabase(database, async (_tx, work) => await work()),
  );
  await eachOnce(t, database, 'failed', ids);
});
