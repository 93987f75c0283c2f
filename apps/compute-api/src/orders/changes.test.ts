import { openSqlite } from '@morpheo/service/database';
import test from 'ava';
import { ComputeDatabase } from '../db/database.ts';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import type { Change } from './changes.ts';

const CHANGE: Change = {
  event: 'accepted',
  order: { id: 'a', kind: 'learn', status: 'todo', attempt: 0 },
};

test('Changes are announced in their order once they are committed', async (t) => {
  await using plain = await openSqlite<Schema>({ file: ':memory:', migrations });
  const database = new ComputeDatabase(plain, []);
  const announced: Change['event'][] = [];
  database.onCommitted(({ event }) => announced.push(event));
  const before = await database.write(async ({ changes }) => {
    changes.push(CHANGE, { ...CHANGE, event: 'claimed' });
    return announced.length;
  });
  t.is(before, 0);
  t.deepEqual(announced, ['accepted', 'claimed']);
});

test('A change that was undone is never announced', async (t) => {
  await using plain = await openSqlite<Schema>({ file: ':memory:', migrations });
  const database = new ComputeDatabase(plain, []);
  const announced: Change[] = [];
  database.onCommitted((change) => announced.push(change));
  const undone = database.write(async ({ changes }) => {
    changes.push(CHANGE);
    throw new Error('on purpose');
  });
  await t.throwsAsync(undone, { message: 'on purpose' });
  t.deepEqual(announced, []);
});
