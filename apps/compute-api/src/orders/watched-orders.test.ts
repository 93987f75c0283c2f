import { setTimeout } from 'node:timers/promises';
import { type Database, openSqlite } from '@morpheo/service/database';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';

/** A database that counts the queries outside of transactions, and those for the entries of histories. */
async function countingDatabase(): Promise<{
  database: Database<Schema>;
  queries: () => number;
  ofHistories: () => number;
}> {
  const base = await openSqlite<Schema>({ file: ':memory:', migrations });
  let queries = 0;
  let ofHistories = 0;
  const read = base.read.withPlugin({
    transformQuery: ({ node }) => {
      queries++;
      if ('from' in node && JSON.stringify(node.from).includes('"events"')) ofHistories++;
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  const database: Database<Schema> = {
    engine: base.engine,
    read,
    now: base.now,
    write: (work) => base.write(work),
    notify: (channel, text) => base.notify(channel, text),
    listen: (...how) => base.listen(...how),
    ping: (signal) => base.ping(signal),
    [Symbol.asyncDispose]: () => base[Symbol.asyncDispose](),
  };
  return { database, queries: () => queries, ofHistories: () => ofHistories };
}

test('Streams of which nothing happens cost one query a second together, however many they are', async (t) => {
  const { database, queries } = await countingDatabase();
  await using compute = await openTestCompute({ everyMs: 600_000 }, database);
  const body = aLearnuplet();
  await compute.api.learn({ body });
  const gone = new AbortController();
  let heard = 0;
  const hearers = new Set<number>();
  const follow = async (_: unknown, stream: number) => {
    const input = { params: { id: body.uuid }, headers: {} };
    for await (const _ of await compute.api.orderEvents(input, { signal: gone.signal })) {
      hearers.add(stream);
      heard++;
    }
  };
  const streams = Array.from({ length: 200 }, follow);
  await eventually(t, (t) => t.is(hearers.size, 200));
  // Looking one by one, they would ask at least 400 times in a second.
  await eventually(t, async (t) => {
    const before = queries();
    await setTimeout(1500);
    t.true(queries() - before < 50, `${queries() - before} queries`);
  });
  await compute.api.cancelOrder({ params: { id: body.uuid } });
  await Promise.all(streams);
  t.true(heard >= 400);
  gone.abort();
});

test('The history of an order that has ended is read once, for nothing was added to it', async (t) => {
  const { database, ofHistories } = await countingDatabase();
  await using compute = await openTestCompute({ everyMs: 600_000 }, database);
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await compute.api.cancelOrder({ params: { id: body.uuid } });
  const before = ofHistories();
  const told: string[] = [];
  for await (const { data } of await compute.api.orderEvents({ params: { id: body.uuid }, headers: {} })) {
    told.push(data.what);
  }
  t.is(told.at(-1), 'cancelled');
  t.is(ofHistories() - before, 1);
});

testOnEngines('A change of which no notification came is found all the same', async (t, open) => {
  await using compute = await open();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  const worker = await compute.worker();
  const { order, attempt } = await worker.mustClaim();
  const input = { params: { id: order }, query: { follow: true } };
  const { body: log } = await compute.api.orderLog(input);
  const reader = log?.getReader();
  const first = reader?.read();
  await compute.database.write(async (transaction) => {
    const text = 'written elsewhere';
    await transaction
      .insertInto('logs')
      .values({ order_id: order, attempt, seq: 0, at: 0, step: 'train', stream: 'stdout', text })
      .execute();
    await transaction.updateTable('attempts').set({ log_bytes: text.length }).execute();
  });
  t.is(Buffer.from((await first)?.value ?? []).toString(), 'written elsewhere');
  await reader?.cancel();
});
