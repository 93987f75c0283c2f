import { randomUUID } from 'node:crypto';
import { copyFile, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isPlatformError, type PlatformError } from '@morpheo/common';
import { createAuthority, startPostgres, withParts } from '@morpheo/real-parts';
import ava, { type ExecutionContext } from 'ava';
import { sql } from 'kysely';
import { followPems } from '../../lifecycle/index.ts';
import { memoryLog } from '../../log/index.ts';
import { eventually } from '../../testing/index.ts';
import { sharedPostgres } from '../testing/engines.ts';
import { type OpenPostgres, openPostgres } from './index.ts';

const test = withParts(ava, 'postgres');
const server = sharedPostgres(ava);

/** What opening fails with; always one line that never shows the password. */
async function refusal(t: ExecutionContext, address: OpenPostgres['address']): Promise<PlatformError> {
  const error = await t.throwsAsync(openPostgres({ address, migrations: {}, times: { connectMs: 2_000 } }));
  if (!isPlatformError(error)) throw error;
  t.is(error.code, 'unavailable', error.message);
  t.false(error.message.includes(address.password ?? '?'));
  t.regex(error.message, /^PostgreSQL at \S+:\d+, database "\w+" /);
  return error;
}

test('A wrong password is refused with the user in doubt', async (t) => {
  const { target } = await server();
  const { message } = await refusal(t, { ...target, password: 'wrong-password' });
  t.regex(message, /refuses this user; check the user, the password/);
});

test('A password that changes is used by the next connection', async (t) => {
  const real = await server();
  await using database = await real.createDatabase();
  const role = `owner_of_${database.database}`;
  await real.query(`create role ${role} login password 'one'`);
  await real.query(`alter database ${database.database} owner to ${role}`);
  let password = 'one';
  const address = {
    ...database,
    user: role,
    get password() {
      return password;
    },
  };
  const opened = await openPostgres<unknown>({ address, migrations: {} });
  await real.query(`alter role ${role} password 'two'`);
  await real.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);
  await eventually(t, async (t) => {
    await t.throwsAsync(opened.ping(), { message: /refuses this user/ });
  });
  password = 'two';
  await eventually(t, async (t) => await t.notThrowsAsync(opened.ping()));
  await opened[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  await real.query(`drop role ${role}`);
});

test('A database that is not there is named', async (t) => {
  const { target } = await server();
  t.regex(
    (await refusal(t, { ...target, database: 'nowhere' })).message,
    /"nowhere" is not there; create it/,
  );
});

test('A server that does not run is named', async (t) => {
  const { target } = await server();
  t.regex((await refusal(t, { ...target, port: 1 })).message, /127\.0\.0\.1:1.* is the server running\?/);
  t.regex((await refusal(t, { ...target, host: '/nowhere' })).message, /has no socket there/);
});

test('A host that nobody knows is named', async (t) => {
  const { target } = await server();
  t.regex((await refusal(t, { ...target, host: 'nowhere.invalid' })).message, /cannot be found/);
});

test('A user who may not create tables is told what to do', async (t) => {
  const real = await server();
  await using database = await real.createDatabase();
  const user = `guest_of_${database.database}`;
  await real.query(`create role ${user} login password 'a guest'`);
  const { message } = await refusal(t, { ...database, user, password: 'a guest' });
  await real.query(`drop role ${user}`);
  t.regex(message, /make the user the owner of the database/);
});

test('A server without TLS is refused where TLS is asked for', async (t) => {
  const { target } = await server();
  t.regex((await refusal(t, { ...target, tls: 'system' })).message, /speaks no TLS/);
});

test('TLS checks who the server is', async (t) => {
  await using secured = await startPostgres({ tls: true });
  const ca = await readFile(secured.caFile ?? '', 'utf8');
  await using database = await openPostgres<unknown>({
    address: { ...secured.target, tls: { ca } },
    migrations: {},
  });
  const { rows } = await sql<{ ssl: boolean }>`
    select ssl from pg_stat_ssl where pid = pg_backend_pid()`.execute(database.read);
  t.deepEqual(rows, [{ ssl: true }]);
  const unknown = await refusal(t, { ...secured.target, tls: 'system' });
  t.regex(unknown.message, /does not prove by its certificate who it is/);
  const misnamed = await refusal(t, { ...secured.target, host: 'localhost', tls: { ca } });
  t.regex(misnamed.message, /does not prove by its certificate who it is/);
});

test('New connections trust the authority that its file names at the time', async (t) => {
  await using stack = new AsyncDisposableStack();
  const secured = stack.use(await startPostgres({ tls: true }));
  const authority = stack.use(await createAuthority());
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'authority-')));
  const next = await authority.certify('postgres', 'IP:127.0.0.1');
  const served = secured.caFile ?? '';
  const file = join(folder.path, 'ca.pem');
  await copyFile(served, file);
  const log = memoryLog();
  const tls = await followPems('--db-tls', { ca: file }, { log, stack, everyMs: 1 });
  const address = { ...secured.target, tls };
  const database = stack.use(await openPostgres<unknown>({ address, migrations: {} }));
  await database.ping();

  await writeFile(served, next.cert);
  await writeFile(join(dirname(served), 'server.key'), next.key);
  await secured.query('select pg_reload_conf()');
  const endAll = `select pg_terminate_backend(pid) from pg_stat_activity
    where pid <> pg_backend_pid() and backend_type = 'client backend'`;
  await eventually(t, async (t) => {
    await secured.query(endAll);
    await t.throwsAsync(database.ping(), { message: /does not prove by its certificate who it is/ });
  });
  await writeFile(file, '');
  await eventually(t, (t) => t.is(log.entries.filter(({ level }) => level === 'warn').length, 1));
  await writeFile(file, authority.ca);
  await eventually(t, async (t) => await t.notThrowsAsync(database.ping()));
});

test('A server that forgets at a power cut is refused', async (t) => {
  const real = await server();
  await using database = await real.createDatabase();
  await real.query(`alter database ${database.database} set synchronous_commit = off`);
  t.regex((await refusal(t, database)).message, /loses what it has acknowledged when the power fails/);
});

test('A database of another encoding is refused', async (t) => {
  const real = await server();
  // Of a name that no other test, and no earlier run, has used.
  const database = `latin_${randomUUID().replaceAll('-', '')}`;
  await real.query(`create database ${database} encoding 'LATIN1' template template0`);
  t.regex((await refusal(t, { ...real.target, database })).message, /with encoding UTF8/);
  await real.query(`drop database ${database} with (force)`);
});
