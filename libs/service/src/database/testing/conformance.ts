import { isPlatformError } from '@morpheo/common';
import ava, { type ExecutionContext } from 'ava';
import { sql } from 'kysely';
import type { Database } from '../index.ts';
import type { DatabaseUnderTest, Register } from './conformance-driver.ts';
import { testDurability } from './conformance-durability.ts';
import { testMigrations } from './conformance-migrations.ts';
import { testNotifications } from './conformance-notifications.ts';
import { addNote, type NotesSchema, note, noteIds, notesMigrations } from './conformance-schema.ts';

export type { DatabaseUnderTest } from './conformance-driver.ts';

type Run = (t: ExecutionContext, database: Database<NotesSchema>) => Promise<void>;

/** Registers the contract of {@link Database} as tests of one driver, each with the numbers of what it shows. */
export function testDatabase(driver: DatabaseUnderTest): void {
  const test: Register = driver.test ?? ava;
  const behaves = (title: string, run: Run) =>
    test(`${driver.name}: ${title}`, async (t) => {
      await using place = await driver.place();
      await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
      await run(t, database);
    });

  behaves('a write returns what its function returns [D1]', writes);
  behaves('a write that throws leaves nothing and rethrows [D2]', undoes);
  behaves('writes started together succeed and fail each alone [D3]', separates);
  behaves('a write sees what it has written [D1]', seesItsOwn);
  behaves('a read sees only what is committed [D6]', hidesUncommitted);
  behaves('a stream of writes does not starve reads [D6]', staysFair);
  behaves('calling the database inside a write is an error [D4]', refusesNesting);
  behaves('what a write has started may write once that has ended', allowsLater);
  behaves('a transaction refuses queries after its function has ended [D4]', endsTransactions);
  behaves('the clock counts milliseconds as an expression [D7]', tellsTime);
  behaves('numbers, texts and nulls come back as they went in', keepsValues);
  behaves('changed rows are counted', countsRows);
  behaves('an error of the engine passes through and breaks nothing [D17]', passesErrors);
  behaves('disposing waits for writes under way [D18]', waitsForWrites);
  behaves('a disposed database is unavailable [D18] [D19]', isUnavailableAfterwards);
  if (!driver.shared) behaves('writes are applied in the order of their calls', keepsOrder);
  testDurability(driver);
  testMigrations(driver);
  testNotifications(driver);
}

async function writes(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const returned = await database.write(async (tx) => {
    await tx.insertInto('notes').values(note('a')).execute();
    return 'done';
  });
  t.is(returned, 'done');
  t.deepEqual(await noteIds(database), ['a']);
}

async function undoes(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const reason = new Error('on purpose');
  const write = database.write(async (tx) => {
    await tx.insertInto('notes').values(note('a')).execute();
    throw reason;
  });
  t.is(await t.throwsAsync(write), reason);
  t.deepEqual(await noteIds(database), []);
}

async function separates(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const ids = Array.from({ length: 20 }, (_, index) => `note-${index + 10}`);
  const outcomes = await Promise.allSettled(
    ids.map((id, index) =>
      database.write(async (tx) => {
        await tx.insertInto('notes').values(note(id)).execute();
        if (index % 3 === 0) throw new Error('on purpose');
        return id;
      }),
    ),
  );
  const kept = ids.filter((_, index) => index % 3 !== 0);
  t.deepEqual(
    outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])),
    kept,
  );
  t.deepEqual(await noteIds(database), kept);
}

async function seesItsOwn(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const seen = await database.write(async (tx) => {
    await tx.insertInto('notes').values(note('a')).execute();
    await tx.updateTable('notes').set({ body: 'changed' }).where('id', '=', 'a').execute();
    return await tx.selectFrom('notes').select('body').executeTakeFirstOrThrow();
  });
  t.deepEqual(seen, { body: 'changed' });
}

async function hidesUncommitted(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const inserted = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const write = database.write(async (tx) => {
    await tx.insertInto('notes').values(note('a')).execute();
    inserted.resolve();
    await gate.promise;
    throw new Error('on purpose');
  });
  await inserted.promise;
  const seen = noteIds(database);
  gate.resolve();
  await t.throwsAsync(write, { message: 'on purpose' });
  t.deepEqual(await seen, []);
}

async function staysFair(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const reading = new AbortController();
  let written = 0;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    // Ends by itself where reads starve, and then the last check fails.
    for (let count = 0; !reading.signal.aborted && count < 2_000; count += 1) {
      await addNote(database, `${writer}-${count}`);
      written += 1;
    }
  });
  for (let count = 0; count < 5; count += 1) await noteIds(database);
  reading.abort();
  await Promise.all(writers);
  t.true(written < 8_000);
}

async function endsTransactions(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const escaped = await database.write(async (tx) => ({ tx }));
  await t.throwsAsync(async () => escaped.tx.insertInto('notes').values(note('late')).execute());
  t.deepEqual(await noteIds(database), []);
}

async function refusesNesting(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  await t.throwsAsync(
    database.write(async () => addNote(database, 'nested')),
    { message: /called write\(\); use the transaction/ },
  );
  await t.throwsAsync(
    database.write(async () => noteIds(database)),
    { message: /called the database; use the transaction/ },
  );
  await addNote(database, 'afterwards');
  t.deepEqual(await noteIds(database), ['afterwards']);
}

async function allowsLater(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const later = Promise.withResolvers<void>();
  await database.write(async () => {
    setImmediate(() => addNote(database, 'later').then(later.resolve, later.reject));
  });
  await later.promise;
  t.deepEqual(await noteIds(database), ['later']);
}

async function tellsTime(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  await database.write(async (tx) => {
    await tx
      .insertInto('notes')
      .values({ ...note('a'), at: database.now })
      .execute();
  });
  const due = sql<number>`${database.now} + 60000`;
  const row = await database.read
    .selectFrom('notes')
    .select(['at', due.as('due')])
    .where('at', '<=', database.now)
    .executeTakeFirstOrThrow();
  t.true(Number.isInteger(row.at), `${row.at} is no whole number`);
  t.true(Math.abs(row.at - Date.now()) < 3_600_000, `${row.at} is not about now`);
  t.true(row.due >= row.at + 60_000);
}

async function keepsValues(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const rows = [
    { id: 'ünïcode 🌍 \' " \\ %', body: 'a\nb', at: Number.MAX_SAFE_INTEGER, author: null },
    { id: '~ empty', body: '', at: -1, author: null },
    { id: '~~ null', body: null, at: 0, author: null },
  ];
  await database.write(async (tx) => {
    await tx.insertInto('notes').values(rows).execute();
  });
  const kept = await database.read.selectFrom('notes').selectAll().execute();
  t.deepEqual(
    rows.map((row) => kept.find(({ id }) => id === row.id)),
    rows,
  );
  const { count } = await database.read
    .selectFrom('notes')
    .select((expression) => expression.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  t.is(count, 3);
}

async function countsRows(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const insert = () =>
    database.write((tx) =>
      tx
        .insertInto('notes')
        .values(note('a'))
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirst(),
    );
  t.is((await insert()).numInsertedOrUpdatedRows, 1n);
  t.is((await insert()).numInsertedOrUpdatedRows, 0n);
  const update = (id: string) =>
    database.write((tx) => tx.updateTable('notes').set({ at: 7 }).where('id', '=', id).executeTakeFirst());
  t.is((await update('a')).numUpdatedRows, 1n);
  t.is((await update('b')).numUpdatedRows, 0n);
  const gone = await database.write((tx) =>
    tx.deleteFrom('notes').where('id', '=', 'a').returning('at').execute(),
  );
  t.deepEqual(gone, [{ at: 7 }]);
}

async function passesErrors(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  await addNote(database, 'a');
  const again = await t.throwsAsync(addNote(database, 'a'));
  t.false(isPlatformError(again));
  const orphan = database.write((tx) =>
    tx
      .insertInto('notes')
      .values({ ...note('b'), author: 'nobody' })
      .execute(),
  );
  t.false(isPlatformError(await t.throwsAsync(orphan)));
  t.false(isPlatformError(await t.throwsAsync(sql`select * from nowhere`.execute(database.read))));
  await addNote(database, 'c');
  t.deepEqual(await noteIds(database), ['a', 'c']);
}

async function waitsForWrites(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const answered = new Set<string>();
  const under = ['a', 'b', 'c'].map(async (id) => {
    await addNote(database, id);
    answered.add(id);
  });
  await database[Symbol.asyncDispose]();
  await Promise.all(under);
  t.is(answered.size, 3);
}

async function isUnavailableAfterwards(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  await t.notThrowsAsync(database.ping());
  await Promise.all([database[Symbol.asyncDispose](), database[Symbol.asyncDispose]()]);
  t.true(isPlatformError(await t.throwsAsync(addNote(database, 'a')), 'unavailable'));
  t.true(isPlatformError(await t.throwsAsync(noteIds(database)), 'unavailable'));
  t.true(isPlatformError(await t.throwsAsync(database.ping()), 'unavailable'));
  await t.notThrowsAsync(async () => database[Symbol.asyncDispose]());
}

async function keepsOrder(t: ExecutionContext, database: Database<NotesSchema>): Promise<void> {
  const order: number[] = [];
  const calls = Array.from({ length: 600 }, (_, index) => database.write(async () => void order.push(index)));
  await Promise.all(calls);
  t.deepEqual(
    order,
    Array.from({ length: 600 }, (_, index) => index),
  );
}
