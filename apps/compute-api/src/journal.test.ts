import { openSqlite } from '@morpheo/service/database';
import test from 'ava';
import { type Change, openJournal } from './journal.ts';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';

const CHANGE: Change = {
  what: 'accepted',
  order: { id: 'a', kind: 'learn', status: 'todo', attempt: 0 },
};

test('Changes are told of in their order once they are committed', async (t) => {
  await using plain = await openSqlite<Schema>({ file: ':memory:', migrations });
  const told: Change['what'][] = [];
  const { database, note } = openJournal(plain, ({ what }) => told.push(what));
  const before = await database.write(async (tx) => {
    note(tx, CHANGE);
    note(tx, { ...CHANGE, what: 'claimed' });
    return told.length;
  });
  t.is(before, 0);
  t.deepEqual(told, ['accepted', 'claimed']);
});

test('A change that was undone is never told of', async (t) => {
  await using plain = await openSqlite<Schema>({ file: ':memory:', migrations });
  const told: Change[] = [];
  const { database, note } = openJournal(plain, (change) => told.push(change));
  const undone = database.write(async (tx) => {
    note(tx, CHANGE);
    throw new Error('on purpose');
  });
  await t.throwsAsync(undone, { message: 'on purpose' });
  t.deepEqual(told, []);
});
