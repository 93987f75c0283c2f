import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import { sql } from 'kysely';
import { openSqlite } from '../index.ts';
import { testDatabase } from '../testing/conformance.ts';
import { addNote, type NotesSchema, note, noteIds, notesMigrations } from '../testing/conformance-schema.ts';
import { slowDisk } from '../testing/slow-disk.fixture.ts';
import { temporaryPlace } from '../testing/temporary-place.fixture.ts';

const inMemory = () => openSqlite<NotesSchema>({ file: ':memory:', migrations: notesMigrations });

/** The different ones among ids, in the order in which the database gives them. */
const sorted = (ids: Iterable<string>) => [...new Set(ids)].sort((a, b) => (a < b ? -1 : 1));

testDatabase({ name: 'sqlite', shared: false, place: temporaryPlace, slowDisk });

test('Every commit is synced [D1]', async (t) => {
  await using disk = await slowDisk();
  await using database = await disk.open<NotesSchema>({ migrations: notesMigrations });
  const ask = async (name: string) => {
    const { rows } = await sql<Record<string, unknown>>`${sql.raw(`pragma ${name}`)}`.execute(database.read);
    return Object.values(rows[0] ?? {})[0];
  };
  const before = disk.asked;
  for (const id of ['a', 'b', 'c']) await addNote(database, id);
  t.is(disk.asked, before + 3);
  // The log itself, before it is moved into the file, and the file after it.
  t.is(await ask('synchronous'), 1);
  t.is(await ask('journal_mode'), 'wal');
  t.is(await ask('foreign_keys'), 1);
});

test('A full disk is disk_full, and passes once there is room [D5] [D16]', async (t) => {
  await using place = await temporaryPlace();
  await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
  await addNote(database, 'before');
  const limit = (pages: number) => sql`${sql.raw(`pragma max_page_count = ${pages}`)}`.execute(database.read);
  await limit(1);
  const big = { ...note('big'), body: 'x'.repeat(100_000) };
  const swallowing = database.write(async (tx) => {
    await tx
      .insertInto('notes')
      .values(big)
      .execute()
      .catch(() => {});
    await tx.insertInto('notes').values(note('after')).execute();
  });
  // SQLite rolls the whole transaction back here; what the function goes on to write must not be kept alone.
  t.true(isPlatformError(await t.throwsAsync(swallowing), 'disk_full'));
  const plain = database.write((tx) => tx.insertInto('notes').values(big).execute());
  t.true(isPlatformError(await t.throwsAsync(plain), 'disk_full'));
  t.deepEqual(await noteIds(database), ['before']);
  await limit(1_000_000);
  await addNote(database, 'room again');
  t.deepEqual(await noteIds(database), ['before', 'room again']);
});

test('A commit that fails rejects every write that shared it [D3]', async (t) => {
  await using database = await openSqlite<{ parent: { id: number }; child: { parent: number } }>({
    file: ':memory:',
    migrations: {
      '001': async (db) => {
        await sql`create table parent (id integer primary key)`.execute(db);
        await sql`create table child (parent integer references parent (id) deferrable initially deferred)`.execute(
          db,
        );
      },
    },
  });
  const outcomes = await Promise.allSettled([
    database.write((tx) => tx.insertInto('parent').values({ id: 1 }).execute()),
    database.write((tx) => tx.insertInto('child').values({ parent: 404 }).execute()),
    database.write(async () => Promise.reject(new Error('of its own'))),
  ]);
  for (const outcome of outcomes) {
    t.is(outcome.status, 'rejected');
    if (outcome.status === 'rejected') t.regex(String(outcome.reason), /FOREIGN KEY/);
  }
  t.deepEqual(await database.read.selectFrom('parent').selectAll().execute(), []);
  await database.write((tx) => tx.insertInto('parent').values({ id: 2 }).execute());
  t.deepEqual(await database.read.selectFrom('parent').selectAll().execute(), [{ id: 2 }]);
});

test('A read can be given up while a write holds the database', async (t) => {
  await using database = await inMemory();
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const write = database.write(async () => {
    started.resolve();
    await gate.promise;
  });
  await started.promise;
  t.true(isPlatformError(await t.throwsAsync(database.ping(AbortSignal.timeout(5))), 'unavailable'));
  gate.resolve();
  await write;
  await database.ping(AbortSignal.timeout(10_000));
  await addNote(database, 'still works');
  t.deepEqual(await noteIds(database), ['still works']);
});

test('Any mix of writes keeps exactly those that succeeded [D3]', async (t) => {
  const write = fc.record({ id: fc.nat({ max: 9 }), fails: fc.boolean(), later: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 30 }), async (plan) => {
      await using database = await inMemory();
      const kept = new Set<string>();
      const runs: Promise<void>[] = [];
      for (const { id, fails, later } of plan) {
        if (later) await new Promise((resolve) => setImmediate(resolve));
        const run = database.write(async (tx) => {
          await tx
            .insertInto('notes')
            .values(note(`${id}`))
            .execute();
          if (fails) throw new Error('on purpose');
        });
        runs.push(
          run.then(
            () => void kept.add(`${id}`),
            () => {},
          ),
        );
      }
      await Promise.all(runs);
      const ids = plan.filter(({ fails }) => !fails).map(({ id }) => `${id}`);
      const expected = sorted(ids);
      t.deepEqual(sorted(kept), expected);
      t.deepEqual(await noteIds(database), expected);
    }),
    { numRuns: 50 },
  );
});
