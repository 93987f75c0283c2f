import { isPlatformError } from '@morpheo/common';
import ava, { type ExecutionContext } from 'ava';
import type { Migrations } from '../index.ts';
import type { DatabaseUnderTest, Register } from './conformance-driver.ts';
import {
  addNote,
  hasTable,
  type NotesSchema,
  noteIds,
  notesMigrations,
  type Place,
} from './conformance-schema.ts';

/** Registers what the contract says about schemas as tests of one driver. */
export function testMigrations(driver: DatabaseUnderTest): void {
  const test: Register = driver.test ?? ava;
  const behaves = (title: string, run: (t: ExecutionContext, place: Place) => Promise<void>) =>
    test(`${driver.name}: ${title}`, async (t) => {
      await using place = await driver.place();
      await run(t, place);
    });

  behaves('rows outlive closing, and only new steps run [D1] [D12]', runsNewSteps);
  behaves('a step that fails undoes all steps of the opening [D12]', undoesSteps);
  behaves('a database newer than the program is refused [D14]', refusesNewer);
  behaves('services with owners of their own share a database [D13]', separatesOwners);
  if (driver.shared) behaves('services that open at once run each step once [D13]', opensAtOnce);
}

async function runsNewSteps(t: ExecutionContext, place: Place): Promise<void> {
  const first = await place.open<NotesSchema>({ migrations: notesMigrations });
  await addNote(first, 'a');
  await first[Symbol.asyncDispose]();

  const ran: string[] = [];
  const later: Migrations = {
    '004-last': async () => void ran.push('004'),
    '003-new': async () => void ran.push('003'),
  };
  await using second = await place.open<NotesSchema>({ migrations: { ...later, ...notesMigrations } });
  t.deepEqual(ran, ['003', '004']);
  t.deepEqual(await noteIds(second), ['a']);
}

async function undoesSteps(t: ExecutionContext, place: Place): Promise<void> {
  const failing: Migrations = {
    '001-good': async (db) => db.schema.createTable('good').addColumn('id', 'text').execute(),
    '002-bad': async (db) => {
      await db.schema.createTable('half').addColumn('id', 'text').execute();
      throw new Error('on purpose');
    },
  };
  const error = await t.throwsAsync(place.open({ migrations: failing }));
  t.true(isPlatformError(error, 'internal'));
  t.regex(error.message, /002-bad.*on purpose/);
  await using database = await place.open<unknown>({ migrations: {} });
  t.false(await hasTable(database, 'good'));
  t.false(await hasTable(database, 'half'));
}

async function refusesNewer(t: ExecutionContext, place: Place): Promise<void> {
  const newer = await place.open({ migrations: notesMigrations });
  await newer[Symbol.asyncDispose]();
  const older = Object.fromEntries(Object.entries(notesMigrations).slice(0, 1));
  const error = await t.throwsAsync(place.open({ migrations: older }));
  t.true(isPlatformError(error, 'wrong_state'));
  t.regex(error.message, /002-notes/);
}

async function separatesOwners(t: ExecutionContext, place: Place): Promise<void> {
  const step = (name: string): Migrations => ({
    [name]: async (db) => db.schema.createTable(name).addColumn('id', 'text').execute(),
  });
  const first = await place.open({ migrations: step('orders'), owner: 'compute_api' });
  await first[Symbol.asyncDispose]();
  await using second = await place.open<unknown>({ migrations: step('blobs'), owner: 'storage_api' });
  t.true(await hasTable(second, 'orders'));
  t.true(await hasTable(second, 'blobs'));
}

async function opensAtOnce(t: ExecutionContext, place: Place): Promise<void> {
  const ran: string[] = [];
  const migrations: Migrations = { ...notesMigrations, '003-last': async () => void ran.push('003') };
  const open = () => place.open<NotesSchema>({ migrations });
  const [first, ...others] = await Promise.all([open(), open(), open(), open()]);
  t.deepEqual(ran, ['003']);
  await addNote(first, 'a');
  for (const other of others) t.deepEqual(await noteIds(other), ['a']);
  await Promise.all([first, ...others].map((database) => database[Symbol.asyncDispose]()));
}
