import { mkdtempDisposable, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { checkDatabase, type Migrations, openSqlite } from './index.ts';

const FIRST: Migrations = {
  '001-first': async (schema) =>
    void (await schema.schema.createTable('a').addColumn('id', 'text').execute()),
};
const BOTH: Migrations = {
  ...FIRST,
  '002-second': async (schema) =>
    void (await schema.schema.createTable('b').addColumn('id', 'text').execute()),
};

test('A file that is not there yet is not made by a look', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const file = join(folder.path, 'new.db');
  t.is(
    await checkDatabase({ engine: 'sqlite', file }, { owner: 'x', migrations: FIRST }),
    `${file} will be made`,
  );
  t.deepEqual(await readdir(folder.path), []);
});

test('The steps that are due are told, and not done', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const file = join(folder.path, 'one.db');
  await (await openSqlite({ file, migrations: FIRST }))[Symbol.asyncDispose]();
  const before = await stat(file);
  const look = async (migrations: Migrations) =>
    await checkDatabase({ engine: 'sqlite', file }, { owner: 'x', migrations });
  t.is(await look(FIRST), `${file}, schema up to date`);
  t.is(await look(BOTH), `${file}, 1 step of the schema to be done at the next start`);
  const after = await stat(file);
  t.is(after.mtimeMs, before.mtimeMs);
  t.deepEqual(await readdir(folder.path), ['one.db']);
});

test('A schema that is newer than the program is refused', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const file = join(folder.path, 'newer.db');
  await (await openSqlite({ file, migrations: BOTH }))[Symbol.asyncDispose]();
  const look = checkDatabase({ engine: 'sqlite', file }, { owner: 'x', migrations: FIRST });
  await t.throwsAsync(look, { code: 'wrong_state', message: /002-second.*newer version/ });
});

test('A file that is no database is told', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const file = join(folder.path, 'text.db');
  await writeFile(file, 'this is no database, however long one looks at it'.repeat(50));
  const look = checkDatabase({ engine: 'sqlite', file }, { owner: 'x', migrations: FIRST });
  await t.throwsAsync(look, { code: 'unavailable', message: /not a database/ });
});

test('A file that a process has open is told to be in use', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const file = join(folder.path, 'open.db');
  await using _open = await openSqlite({ file, migrations: FIRST });
  t.regex(await checkDatabase({ engine: 'sqlite', file }, { owner: 'x', migrations: FIRST }), /is in use/);
});
