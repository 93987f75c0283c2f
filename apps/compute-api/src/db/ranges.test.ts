import { randomUUID } from 'node:crypto';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aJob, aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { countOf, newestOf, type Range } from './ranges.ts';

const kinds = (['learn', 'predict', 'job'] as const).map(
  (kind): Range =>
    (row) =>
      row('kind', '=', kind),
);

testOnEngines(
  'Orders of several ranges are merged, the newest first, and none is left out or told twice',
  async (t, open) => {
    await using compute = await open();
    const ids: string[] = [];
    for (let n = 0; n < 9; n++) ids.unshift(await place(compute.api, n));
    const { read } = compute.database;
    const rows: { id: string; created_at: number }[] = [];
    for (;;) {
      const page = await newestOf(read, kinds, { after: rows.at(-1), most: 2 });
      if (page.length === 0) break;
      rows.push(...page);
    }
    const all = await read
      .selectFrom('orders')
      .select('id')
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .execute();
    t.deepEqual(
      rows.map(({ id }) => id),
      all.map(({ id }) => id),
    );
    t.deepEqual(new Set(rows.map(({ id }) => id)), new Set(ids));
  },
);

testOnEngines('Orders are counted up to a bound, and more are told as more', async (t, open) => {
  await using compute = await open();
  for (let n = 0; n < 3; n++) await place(compute.api, n);
  const { read } = compute.database;
  t.deepEqual(await countOf(read, kinds, 3), { total: 3 });
  t.deepEqual(await countOf(read, kinds, 2), { total: 2, more: true });
  t.deepEqual(await countOf(read, [], 2), { total: 0 });
});

async function place(api: TestCompute['api'], n: number): Promise<string> {
  const [learn, predict, job] = [aLearnuplet(), aPreduplet(), aJob({ uuid: randomUUID() })];
  if (n % 3 === 0) await api.learn({ body: learn });
  else if (n % 3 === 1) await api.pred({ body: predict });
  else await api.postJob({ body: job });
  return [learn, predict, job][n % 3]?.uuid ?? '';
}
