import ava from 'ava';
import { openSharedPostgres } from '../shared.ts';
import { withParts } from '../with-parts.ts';

const test = withParts(ava, 'postgres');

test('A database that was left is taken by the next who wants one of its kind, and by one alone', async (t) => {
  await using server = await openSharedPostgres();
  const kind = `k${process.pid}`;
  {
    await using left = await server.takeDatabase(kind);
    await server.query('create table marks (mark integer)', left.database);
  }
  const hasMarks = async (database: string) =>
    (await server.query("select to_regclass('marks') is not null as has", database))[0]?.has;
  const [first, second] = await Promise.all([server.takeDatabase(kind), server.takeDatabase(kind)]);
  t.is([await hasMarks(first.database), await hasMarks(second.database)].filter(Boolean).length, 1);
  await using other = await server.takeDatabase('another');
  t.false(await hasMarks(other.database));
});
