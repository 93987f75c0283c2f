import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { type NotesSchema, noteIds, notesMigrations } from './conformance-schema.ts';
import { openSqlite } from './index.ts';
import { temporaryPlace } from './temporary-place.fixture.ts';

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

test('Every acknowledged row survives a killed process', async (t) => {
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
