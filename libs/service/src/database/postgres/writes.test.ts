import { isPlatformError } from '@morpheo/common';
import { withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { sql } from 'kysely';
import { Client } from 'pg';
import type { Database } from '../index.ts';
import { addNote, type NotesSchema, note, noteIds, notesMigrations } from '../testing/conformance-schema.ts';
import { sharedPostgres } from '../testing/engines.ts';
import { clientConfig, POSTGRES_TIMES } from './client-config.ts';
import { openPostgres } from './index.ts';
import { placeOn } from './testing.fixture.ts';

const test = withParts(ava, 'postgres');
const server = sharedPostgres(ava);

const place = async () => placeOn(await server());

test('Writes that wait for one another crosswise are both done', async (t) => {
  await using here = await place();
  await using database = await here.open<NotesSchema>({ migrations: notesMigrations });
  for (const id of ['a', 'b']) await addNote(database, id);
  const bothHoldOne = meeting(2);
  const cross = async (first: string, second: string) =>
    await database.write(async (tx) => {
      const add = sql<string>`body || '+'`;
      await tx.updateTable('notes').set({ body: add }).where('id', '=', first).execute();
      await bothHoldOne();
      await tx.updateTable('notes').set({ body: add }).where('id', '=', second).execute();
    });
  await Promise.all([cross('a', 'b'), cross('b', 'a')]);
  const rows = await database.read.selectFrom('notes').select('body').orderBy('id').execute();
  t.deepEqual(rows, [{ body: 'a++' }, { body: 'b++' }]);
});

test('A write whose connection breaks before the commit is run again', async (t) => {
  await using here = await place();
  await using database = await here.open<NotesSchema>({ migrations: notesMigrations });
  let runs = 0;
  await database.write(async (tx) => {
    runs += 1;
    await tx.insertInto('notes').values(note('a')).execute();
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    if (runs === 1) await (await server()).query(`select pg_terminate_backend(${rows[0]?.pid})`);
    await tx.insertInto('notes').values(note('b')).execute();
  });
  t.is(runs, 2);
  t.deepEqual(await noteIds(database), ['a', 'b']);
});

test('A statement that takes too long is given up, and its write undone', async (t) => {
  await using here = await place();
  // What the bound is not about may take its time.
  await using patient = await here.open<NotesSchema>({ migrations: notesMigrations });
  await using database = await openPostgres<NotesSchema>({
    address: here.database,
    migrations: notesMigrations,
    times: { statementMs: 1000 },
  });
  const slow = database.write(async (tx) => {
    await tx.insertInto('notes').values(note('a')).execute();
    await sql`select pg_sleep(60)`.execute(tx);
  });
  const error = await t.throwsAsync(slow);
  t.true(isPlatformError(error, 'unavailable'), error?.message);
  t.regex(error?.message ?? '', /took longer over a statement than it may/);
  t.deepEqual(await noteIds(patient), []);
});

test('A row that another write holds is not waited for without end', async (t) => {
  await using here = await place();
  const options = { address: here.database, migrations: notesMigrations };
  await using database = await openPostgres<NotesSchema>({ ...options, times: { lockMs: 50 } });
  await addNote(database, 'a');
  const touch = async (work: () => Promise<void>) =>
    await database.write(async (tx) => {
      await tx.updateTable('notes').set({ body: 'x' }).where('id', '=', 'a').execute();
      await work();
    });
  await touch(async () => {
    const error = await t.throwsAsync(outside(() => touch(async () => {})));
    t.regex(error?.message ?? '', /another transaction holds the row/);
  });
});

test('A write that pauses too long is ended, and others go on', async (t) => {
  await using here = await place();
  const options = { address: here.database, migrations: notesMigrations };
  await using database = await openPostgres<NotesSchema>({
    ...options,
    times: { idleInTransactionMs: 1000 },
  });
  const lazy = database.write(async (tx) => {
    await tx.insertInto('notes').values(note('lazy')).execute();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await tx.insertInto('notes').values(note('later')).execute();
  });
  t.true(isPlatformError(await t.throwsAsync(lazy), 'unavailable'));
  await addNote(database, 'a');
  t.deepEqual(await noteIds(database), ['a']);
});

test('Callers beyond the connections wait their turn', async (t) => {
  await using here = await place();
  await using database = await openPostgres<NotesSchema>({
    address: here.database,
    migrations: notesMigrations,
    poolSize: 1,
    // Fifty commits, one after another, beside others that keep the disk busy.
    times: { connectMs: 60_000 },
  });
  await Promise.all(Array.from({ length: 50 }, async (_, index) => await addNote(database, `${index}`)));
  t.is((await noteIds(database)).length, 50);
});

test('Callers who wait too long for a connection are told so', async (t) => {
  await using here = await place();
  const options = { address: here.database, migrations: notesMigrations, poolSize: 1 };
  await using database = await openPostgres<NotesSchema>({ ...options, times: { connectMs: 2000 } });
  const gate = Promise.withResolvers<void>();
  const holder = database.write(async () => await gate.promise);
  const error = await t.throwsAsync(noteIds(database));
  t.true(isPlatformError(error, 'unavailable'), error?.message);
  t.regex(error?.message ?? '', /has no connection free in time/);
  gate.resolve();
  await holder;
});

test('A full disk, and a text that cannot be kept, are told apart', async (t) => {
  await using here = await place();
  await using database = await here.open<NotesSchema>({ migrations: notesMigrations });
  const full = database.write(
    async (tx) => await sql`do $$ begin raise exception 'full' using errcode = '53100'; end $$`.execute(tx),
  );
  t.true(isPlatformError(await t.throwsAsync(full), 'disk_full'));
  t.true(isPlatformError(await t.throwsAsync(addNote(database, 'a\0b')), 'invalid_request'));
});

test('Rows that are passed over while others hold them are each taken once', async (t) => {
  await using here = await place();
  await using first = await here.open<NotesSchema>({ migrations: notesMigrations });
  await using second = await here.open<NotesSchema>({ migrations: notesMigrations });
  await first.write(
    async (tx) =>
      await tx
        .insertInto('notes')
        .values(Array.from({ length: 100 }, (_, index) => note(`${index}`)))
        .execute(),
  );
  const taken = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => await takeAll(index % 2 === 0 ? first : second)),
  );
  t.is(taken.flat().length, 100);
  t.is(new Set(taken.flat()).size, 100);
});

/** Takes free notes one by one until there is none. */
async function takeAll(database: Database<NotesSchema>): Promise<string[]> {
  const mine: string[] = [];
  for (;;) {
    const id = await database.write(async (tx) => {
      const free = tx.selectFrom('notes').select('id').where('at', '=', 0).orderBy('id').limit(1);
      const row = await free.forUpdate().skipLocked().executeTakeFirst();
      if (row !== undefined) await tx.updateTable('notes').set({ at: 1 }).where('id', '=', row.id).execute();
      return row?.id;
    });
    if (id === undefined) return mine;
    mine.push(id);
  }
}

/** Runs something as if nobody's write had started it. */
function outside<T>(work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => void free(() => void work().then(resolve, reject)));
}

const free = (() => {
  const queue: (() => void)[] = [];
  const timer = setInterval(() => queue.shift()?.(), 5);
  timer.unref();
  return (work: () => void) => queue.push(work);
})();

/** Resolves for all when so many have come; who comes later does not wait. */
function meeting(size: number): () => Promise<void> {
  const all = Promise.withResolvers<void>();
  let present = 0;
  return async () => {
    present += 1;
    if (present >= size) all.resolve();
    await all.promise;
  };
}

test('Whoever listens hears of notifications, also one of an earlier version, which answers no greeting', async (t) => {
  await using here = await place();
  const { promise: heard, resolve } = Promise.withResolvers<string | undefined>();
  const earlier = new Client(clientConfig(here.database, POSTGRES_TIMES, 'schema_listener'));
  earlier.on('notification', ({ payload }) => {
    if (payload?.includes(' greetings ') === false) resolve(payload);
  });
  await earlier.connect();
  try {
    await earlier.query('listen "morpheo_schema"');
    await using database = await here.open<NotesSchema>({ migrations: notesMigrations });
    const { promise: listens, resolve: begin } = Promise.withResolvers<void>();
    using _ = database.listen('orders', () => undefined, begin);
    await listens;
    database.notify('orders', 'seven');
    t.regex((await heard) ?? '', /^\S+ orders seven$/);
  } finally {
    await earlier.end();
  }
});
