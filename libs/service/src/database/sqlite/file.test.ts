import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { openSqlite } from '../index.ts';
import { addNote, type NotesSchema, note, noteIds, notesMigrations } from '../testing/conformance-schema.ts';
import { temporaryPlace } from '../testing/temporary-place.fixture.ts';

const run = promisify(execFile);
const FIXTURE = fileURLToPath(new URL('crash-writer.fixture.ts', import.meta.url));

/** A process that writes to the file and says which rows were acknowledged. */
function startWriter(file: string) {
  const child = spawn(process.execPath, [FIXTURE, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  const acknowledged: string[] = [];
  const opened = Promise.withResolvers<void>();
  const enough = Promise.withResolvers<void>();
  createInterface(child.stdout).on('line', (line) => {
    if (line === 'open') return opened.resolve();
    acknowledged.push(line);
    if (acknowledged.length >= 300) enough.resolve();
  });
  const kill = async () => {
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  };
  return { acknowledged, opened: opened.promise, enough: enough.promise, kill };
}

test('Every acknowledged row survives a killed process [D1]', async (t) => {
  await using place = await temporaryPlace();
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const writer = startWriter(place.file);
    await writer.enough;
    await writer.kill();
    acknowledged.push(...writer.acknowledged);
  }
  await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
  const kept = new Set(await noteIds(database));
  t.true(acknowledged.length >= 900);
  t.deepEqual(
    acknowledged.filter((id) => !kept.has(id)),
    [],
  );
});

test('A file that another process holds is refused by name', async (t) => {
  await using place = await temporaryPlace();
  const writer = startWriter(place.file);
  await writer.opened;
  const error = await t.throwsAsync(place.open({ migrations: notesMigrations }));
  t.true(isPlatformError(error, 'unavailable'));
  t.true(error.message.includes(place.file));
  t.regex(error.message, /held by another process/);
  await writer.kill();
  const free = await place.open({ migrations: notesMigrations });
  await free[Symbol.asyncDispose]();
});

test('No other process reads or writes the file, not even after this one has tried to open it twice', async (t) => {
  await using place = await temporaryPlace();
  await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
  await addNote(database, 'a');
  await t.throwsAsync(place.open({ migrations: notesMigrations }));
  const other = (work: string) =>
    run(process.execPath, [
      '-e',
      `const { DatabaseSync } = require('node:sqlite'); const database = new DatabaseSync(process.argv[1]); ${work}`,
      place.file,
    ]);
  const [read, write] = [
    "database.prepare('select * from notes').all()",
    "database.exec('delete from notes')",
  ];
  await Promise.all(
    [read, write].map((work) => t.throwsAsync(other(work), { message: /database is locked/ })),
  );
  t.deepEqual(await noteIds(database), ['a']);
});

test('A file that this process holds already is refused', async (t) => {
  await using place = await temporaryPlace();
  await using _first = await place.open({ migrations: notesMigrations });
  t.true(isPlatformError(await t.throwsAsync(place.open({ migrations: notesMigrations })), 'unavailable'));
});

test('The file and its folder are the owner’s alone', async (t) => {
  await using place = await temporaryPlace();
  await using _database = await place.open({ migrations: notesMigrations });
  t.is((await stat(place.file)).mode & 0o777, 0o600);
  t.is((await stat(`${place.file}-wal`)).mode & 0o777, 0o600);
  t.is((await stat(join(place.file, '..'))).mode & 0o777, 0o700);
});

test('A file that is no database is refused by name', async (t) => {
  await using place = await temporaryPlace();
  const file = join(place.file, '..', '..', 'letter.txt');
  await writeFile(file, 'Dear reader, this is no database.\n'.repeat(100));
  const error = await t.throwsAsync(openSqlite({ file, migrations: {} }));
  t.true(isPlatformError(error, 'unavailable'));
  t.true(error.message.includes(file));
  const below = await t.throwsAsync(openSqlite({ file: join(file, 'database.sqlite'), migrations: {} }));
  t.true(isPlatformError(below, 'unavailable'));
});

test('A file that was put back beside the log of writes of a newer one is refused, and stays as it is', async (t) => {
  await using place = await temporaryPlace();
  await (await place.open({ migrations: notesMigrations }))[Symbol.asyncDispose]();
  const newer = `${place.file}.newer`;
  await copyFile(place.file, newer);
  using database = new DatabaseSync(newer);
  database.exec('pragma journal_mode = wal; pragma wal_autocheckpoint = 20');
  const add = database.prepare('insert into notes (id, body, at) values (?, ?, 0)');
  for (let n = 0; n < 500; n += 1) add.run(`${n}`, 'x'.repeat(1000));
  database.exec('pragma wal_checkpoint(truncate)');
  await copyFile(newer, place.file);
  for (let n = 500; n < 2000; n += 1) add.run(`${n}`, 'x'.repeat(1000));
  // What comes now is in the log alone.
  database.exec('pragma wal_autocheckpoint = 0');
  for (let n = 2000; n < 2100; n += 1) add.run(`${n}`, 'x'.repeat(1000));
  await copyFile(`${newer}-wal`, `${place.file}-wal`);
  const before = await readFile(place.file);
  await t.throwsAsync(place.open({ migrations: notesMigrations }), {
    code: 'unavailable',
    message: /is damaged \(.*restored, remove .*-wal and .*-shm/,
  });
  t.true(before.equals(await readFile(place.file)));
});

test('A sound file that was put back beside the log of writes of a newer one is refused, and is as it was without that log', async (t) => {
  await using place = await temporaryPlace();
  const { file } = place;
  const [backup, crashed] = [`${file}.backup`, `${file}.crashed`];
  const openWith = async (ids: readonly string[]) => {
    const database = await place.open<NotesSchema>({ migrations: notesMigrations });
    for (const id of ids) await addNote(database, id);
    return database;
  };
  await (await openWith(['before']))[Symbol.asyncDispose]();
  await copyFile(file, backup);
  {
    await using _newer = await openWith(['after', 'and after']);
    await copyFile(file, crashed);
    await copyFile(`${file}-wal`, `${crashed}-wal`);
  }
  for (const [copy, ids] of [
    [crashed, ['after', 'and after', 'before']],
    [crashed, ['after', 'and after', 'before']],
    [backup, undefined],
  ] as const) {
    await copyFile(copy, file);
    await copyFile(`${crashed}-wal`, `${file}-wal`);
    if (ids === undefined) continue;
    await using database = await openWith([]);
    t.deepEqual(new Set(await noteIds(database)), new Set(ids));
  }
  await t.throwsAsync(openWith([]), {
    code: 'unavailable',
    message: /-wal does not belong to .*remove .*-wal/,
  });
  await rm(`${file}-wal`);
  await using restored = await openWith([]);
  t.deepEqual(await noteIds(restored), ['before']);
});

test('A process that was killed again and again, also as it began, opens its file', async (t) => {
  await using place = await temporaryPlace();
  const { file } = place;
  for (let round = 0; round < 4; round += 1) {
    const database = await place.open<NotesSchema>({ migrations: notesMigrations });
    if (round > 1) await addNote(database, `${round}`);
    await copyFile(file, `${file}.crashed`);
    await copyFile(`${file}-wal`, `${file}.crashed-wal`);
    await database[Symbol.asyncDispose]();
    await rename(`${file}.crashed`, file);
    await rename(`${file}.crashed-wal`, `${file}-wal`);
  }
  await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
  t.deepEqual(await noteIds(database), ['2', '3']);
});

test('A file that is found damaged takes nothing more, and is not ready', async (t) => {
  await using place = await temporaryPlace();
  {
    await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
    const rows = Array.from({ length: 200 }, (_, n) => ({ ...note(`${n}`), body: 'x'.repeat(4000) }));
    await database.write(async (tx) => void (await tx.insertInto('notes').values(rows).execute()));
  }
  const { size } = await stat(place.file);
  const handle = await open(place.file, 'r+');
  await handle.write(Buffer.alloc(size / 2, 0xff), 0, size / 2, size / 4);
  await handle.close();
  await using database = await place.open<NotesSchema>({ migrations: notesMigrations });
  const damaged = { code: 'unavailable', message: /is damaged; restore it from a backup/ } as const;
  await t.throwsAsync(database.read.selectFrom('notes').selectAll().execute(), damaged);
  await t.throwsAsync(database.ping(), damaged);
  await t.throwsAsync(addNote(database, 'one more'), damaged);
});
