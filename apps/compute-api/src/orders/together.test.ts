import { MOST_GROUP_ORDERS } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { KyselyPlugin } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { watchedDatabase } from '../testing/watched-database.ts';

const ada = { principal: { name: 'ada', roles: ['orchestrator' as const] } };

/** The codes of what was refused, in order; undefined for what was taken. */
function codesOf(outcomes: readonly PromiseSettledResult<unknown>[]): (string | undefined)[] {
  return outcomes.map((one) => (one.status === 'rejected' ? one.reason.code : undefined));
}

/** The same database, which counts the statements of transactions that add orders, and these. */
function counted(database: Database<Schema>) {
  const seen = { transactions: 0, statements: 0 };
  const watched: Database<Schema> = {
    ...watchedDatabase(database, async (_, work) => await work()),
    write: async (work) =>
      await database.write(async (tx) => {
        const made: string[] = [];
        const recorder: KyselyPlugin = {
          transformQuery: ({ node }) => {
            made.push(JSON.stringify(node));
            return node;
          },
          transformResult: async ({ result }) => result,
        };
        const value = await work(tx.withPlugin(recorder));
        if (!made.some((one) => /insert into orders/.test(one))) return value;
        seen.transactions += 1;
        seen.statements += made.length;
        return value;
      }),
  };
  return { watched, seen };
}

testOnEngines('Orders that come together are placed by a few statements', async (t, openOrigin) => {
  await using origin = await openOrigin();
  const { watched, seen } = counted(origin.database);
  await using compute = await openTestCompute({}, watched);
  const bodies = Array.from({ length: 200 }, () => aLearnuplet());
  await Promise.all(bodies.map(async (body) => await compute.unchecked.learn({ body })));
  t.is((await compute.api.listOrders({ query: {} })).total, 200);
  t.true(seen.transactions <= 5, `${seen.transactions} transactions`);
  t.true(seen.statements <= seen.transactions * 3, `${seen.statements} statements`);
});

testOnEngines('Of orders that come together each fails by itself', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api, unchecked } = compute;
  const [there, other] = [aLearnuplet({ group: 'sweep' }), aLearnuplet({ group: 'over' })];
  for (const body of [there, other]) await api.learn({ body }, ada);
  await api.cancelOrderGroup({ params: { name: 'over' }, query: {} }, ada);
  const outcomes = await Promise.allSettled(
    [
      there,
      { ...there, rank: 1 },
      aLearnuplet({ group: 'over' }),
      other,
      aLearnuplet({ group: 'sweep' }),
      aLearnuplet({ group: 'new' }),
      aLearnuplet({ group: 'new', needs: { runtime: 'docker' } }),
    ].map(async (body) => await unchecked.learn({ body }, ada)),
  );
  t.deepEqual(codesOf(outcomes), [
    ...[undefined, 'conflict', 'wrong_state', undefined],
    ...[undefined, undefined, undefined],
  ]);
  t.is((await api.getOrderGroup({ params: { name: 'sweep' }, query: {} }, ada)).orders, 2);
  t.is((await api.getOrderGroup({ params: { name: 'new' }, query: {} }, ada)).orders, 2);
});

testOnEngines(
  'A group takes of orders that come together as many as it has room for, and those that it has already',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api, unchecked, database } = compute;
    const there = aLearnuplet({ group: 'sweep' });
    await api.learn({ body: there }, ada);
    await database.write(async (tx) => {
      await tx
        .updateTable('order_groups')
        .set({ posted: MOST_GROUP_ORDERS - 3 })
        .execute();
    });
    const bodies = [there, ...Array.from({ length: 6 }, () => aLearnuplet({ group: 'sweep' })), there];
    const outcomes = await Promise.allSettled(
      bodies.map(async (body) => await unchecked.learn({ body }, ada)),
    );
    t.deepEqual(
      codesOf(outcomes).map((code) => code ?? 'taken'),
      ['taken', 'taken', 'taken', 'taken', 'wrong_state', 'wrong_state', 'wrong_state', 'taken'],
    );
    const { posted } = await database.read.selectFrom('order_groups').selectAll().executeTakeFirstOrThrow();
    t.is(posted, MOST_GROUP_ORDERS);
  },
);

testOnEngines(
  'Of orders with different needs that come together as many are taken as an owner may have',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const bodies = Array.from({ length: 103 }, (_, n) =>
      aLearnuplet({ needs: { labels: { zone: `z${n}` } } }),
    );
    const posts = [...bodies, aLearnuplet({ needs: { labels: { zone: 'z0' } } })];
    const outcomes = await Promise.allSettled(
      posts.map(async (body) => await compute.unchecked.learn({ body }, ada)),
    );
    const codes = codesOf(outcomes);
    t.deepEqual(codes.slice(100), ['invalid_order', 'invalid_order', 'invalid_order', undefined]);
    t.true(codes.slice(0, 100).every((code) => code === undefined));
  },
);

testOnEngines(
  'Orders of all kinds that come together are kept with their labels, priorities and GPUs',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api, unchecked } = compute;
    const [learn, predict] = [aLearnuplet({ priority: -2 }), aPreduplet({ gpus: 2, owner: 'half \ud800' })];
    const job = aJob({ labels: { run: '7' } });
    await api.setProblemDefaults({ params: { problem: learn.problem }, body: { gpus: 1 } });
    await Promise.all([
      unchecked.learn({ body: learn }, ada),
      unchecked.pred({ body: predict }, ada),
      unchecked.postJob({ body: job }, ada),
    ]);
    t.like(await api.getOrder({ params: { id: learn.uuid } }), { priority: -2, gpus: 1, owner: 'ada' });
    t.like(await api.getOrder({ params: { id: predict.uuid } }), { gpus: 2, owner: 'half \ufffd' });
    const { items } = await api.listOrders({ query: { label: 'run=7' } }, ada);
    t.deepEqual(
      items.map(({ id }) => id),
      [job.uuid],
    );
  },
);
