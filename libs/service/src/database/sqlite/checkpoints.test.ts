import { copyFile, readFile, rename, stat } from 'node:fs/promises';
import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { type Database, openSqlite } from '../index.ts';
import { addNote, type NotesSchema, noteIds, notesMigrations } from '../testing/conformance-schema.ts';
import { temporaryPlace } from '../testing/temporary-place.fixture.ts';
import type { SyncFile } from './synced-log.ts';

/** As small as can be: each step comes after a few writes. */
const logPages = { copy: 12, restart: 30 };
const ids = (count: number) => Array.from({ length: count }, (_, n) => `${1000 + n}`);

async function addAll(database: Database<NotesSchema>, all: readonly string[]): Promise<void> {
  for (const id of all) await addNote(database, id);
}

test('The log of writes is begun again and again, however much is written, and no row is lost', async (t) => {
  await using place = await temporaryPlace();
  const { file } = place;
  const all = ids(400);
  {
    await using database = await openSqlite<NotesSchema>({ file, logPages, migrations: notesMigrations });
    await addAll(database, all.slice(0, 50));
    const before = await saltOf(file);
    await addAll(database, all.slice(50));
    t.true((await saltOf(file)) - before >= 5, 'the log was hardly ever begun again');
    const { size } = await stat(`${file}-wal`);
    t.true(size < 4200 * 200, `the log has grown to ${size} bytes`);
    t.deepEqual(await noteIds(database), all);
  }
  await using again = await place.open<NotesSchema>({ migrations: notesMigrations });
  t.deepEqual(await noteIds(again), all);
});

/** The number of a log, which grows by one whenever it is begun again. */
async function saltOf(file: string): Promise<number> {
  return (await readFile(`${file}-wal`)).readUInt32BE(16);
}

test('Wherever a process is killed while the log is moved into the file, every answered row is there', async (t) => {
  await using place = await temporaryPlace();
  const { file } = place;
  const crashed = `${file}.crashed`;
  const all = ids(60);
  for (const [n, id] of all.entries()) {
    {
      await using database = await openSqlite<NotesSchema>({ file, logPages, migrations: notesMigrations });
      await addNote(database, id);
      for (let more = 0; more < n % 7; more += 1) await addNote(database, `${id} ${more}`);
      await copyFile(file, crashed);
      await copyFile(`${file}-wal`, `${crashed}-wal`);
    }
    await rename(crashed, file);
    await rename(`${crashed}-wal`, `${file}-wal`);
  }
  await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
  const kept = await noteIds(database);
  t.deepEqual(
    kept.filter((id) => !id.includes(' ')),
    all,
  );
});

test('A write is synced also where the log began again, and comes to as many pages as before', async (t) => {
  await using place = await temporaryPlace();
  let syncs = 0;
  const syncFile: SyncFile = async (_, file) => {
    if (file.endsWith('-wal')) syncs += 1;
  };
  await using database = await openSqlite<NotesSchema>({
    ...{ file: place.file, logPages: { copy: 1, restart: 1 }, syncFile },
    migrations: notesMigrations,
  });
  await addNote(database, 'a');
  for (const letter of 'uvwxyz') {
    const body = letter.repeat(400_000);
    const before = syncs;
    await database.write(async (tx) => await tx.updateTable('notes').set({ body }).execute());
    t.true(syncs > before, letter);
    // With nothing written in between, all of the log is moved into the file.
    for (let n = 0; n < 6; n += 1) await database.write(async () => undefined);
  }
});

test('The file is synced off the thread that serves, and writes go on meanwhile', async (t) => {
  await using place = await temporaryPlace();
  const began = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const syncFile: SyncFile = async (_, file) => {
    if (file.endsWith('-wal')) return;
    began.resolve();
    await gate.promise;
  };
  await using database = await openSqlite<NotesSchema>({
    ...{ file: place.file, logPages, syncFile },
    migrations: notesMigrations,
  });
  const first = ids(20);
  await addAll(database, first);
  await began.promise;
  const later = ids(80).slice(20);
  await addAll(database, later);
  gate.resolve();
  t.deepEqual(await noteIds(database), [...first, ...later]);
});

test('A file that the disk does not take is not used any more', async (t) => {
  await using place = await temporaryPlace();
  const syncFile: SyncFile = async (_, file) => {
    if (!file.endsWith('-wal')) throw new Error('the disk is on fire');
  };
  await using database = await openSqlite<NotesSchema>({
    ...{ file: place.file, logPages, syncFile },
    migrations: notesMigrations,
  });
  const refused = await t.throwsAsync(addAll(database, ids(100)));
  t.true(isPlatformError(refused, 'unavailable'));
  t.regex(
    refused.message,
    /did not take what was written to the database .*the disk is on fire.*start this service again/,
  );
  t.is(await t.throwsAsync(database.ping()), refused);
});
