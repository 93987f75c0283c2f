import { startPgBouncer, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { sql } from 'kysely';
import { memoryLog } from '../../log/index.ts';
import { eventually } from '../../testing/index.ts';
import { checkDatabase, type Migrations } from '../index.ts';
import { sharedPostgres } from '../testing/engines.ts';
import { openPostgres } from './index.ts';

const test = withParts(ava, 'postgres', 'pgbouncer');
const server = sharedPostgres(ava);

const first: Migrations = {
  '001-first': async (db) => void (await db.schema.createTable('a').addColumn('id', 'text').execute()),
};
const both: Migrations = {
  ...first,
  '002-second': async (db) => void (await db.schema.alterTable('a').addColumn('more', 'text').execute()),
};
const owner = 'demo';

test('Where the server gives one connection alone, opening fails in place of waiting for ever', async (t) => {
  const real = await server();
  await using address = await real.createDatabase();
  const user = `single_${address.database}`;
  await real.query(`create role ${user} login password 'single' connection limit 1`);
  const opening = openPostgres({
    address: { ...address, user, password: 'single' },
    owner,
    migrations: first,
  });
  await t.throwsAsync(opening, { code: 'unavailable' });
  await real.query(`drop role ${user}`);
});

test('While a step waits for a table that somebody reads, all others go on with it; who is waited for is logged', async (t) => {
  t.timeout(300_000);
  const real = await server();
  await using address = await real.createDatabase();
  await using old = await openPostgres<{ a: { id: string } }>({ address, owner, migrations: first });
  const log = memoryLog();
  const reading = real.query(
    'select pg_sleep(600) from (select count(*) from a) as all_of_it',
    address.database,
  );
  const pid = `select pid from pg_stat_activity where query like 'select pg_sleep(600)%' and datname = '${address.database}'`;
  await eventually(t, async (t) => t.is((await real.query(pid)).length, 1));
  let isOpen = false;
  const opening = openPostgres({ address, owner, migrations: both, log }).then((database) => {
    isOpen = true;
    return database;
  });
  const waits = () => log.entries.filter(({ message }) => /^The schema waits/.test(message));
  await eventually(t, (t) => t.true(waits().length >= 2));
  // Somebody who came after the step is served between two of its tries, within the five seconds that a lock may take.
  await t.notThrowsAsync(old.read.selectFrom('a').selectAll().execute());
  t.false(isOpen);
  t.regex(JSON.stringify(waits()[0]), /"statement":"select pg_sleep\(600\)/);
  await real.query(`select pg_terminate_backend(pid) from (${pid}) as reader`);
  await t.throwsAsync(reading);
  await using fresh = await opening;
  t.deepEqual((await sql`select more from a`.execute(fresh.read)).rows, []);
});

test('A database that takes no writes is not ready, and no service starts on it', async (t) => {
  const real = await server();
  await using address = await real.createDatabase();
  await using open = await openPostgres({ address, owner, migrations: first });
  await open.ping();
  await real.query(`alter database ${address.database} set default_transaction_read_only = on`);
  // The setting is for connections that come after it.
  await real.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${address.database}'`,
  );
  const readOnly = { code: 'unavailable', message: /is read-only: a standby/ } as const;
  await eventually(t, async (t) => void (await t.throwsAsync(open.ping(), readOnly)));
  await t.throwsAsync(openPostgres({ address, owner, migrations: first }), readOnly);
  await t.throwsAsync(checkDatabase({ engine: 'postgres', address }, { owner, migrations: first }), readOnly);
});

test('Behind a PgBouncer that keeps sessions a service starts again and again, and its bounds hold', async (t) => {
  const real = await server();
  await using database = await real.createDatabase();
  await using bouncer = await startPgBouncer(database, 'session');
  const address = bouncer.target;
  for (let start = 0; start < 3; start += 1) {
    await using open = await openPostgres({ address, owner, migrations: both });
    const { rows } = await sql<{ lock_timeout: string }>`show lock_timeout`.execute(open.read);
    t.deepEqual(rows, [{ lock_timeout: '5s' }]);
    const place = { engine: 'postgres', address } as const;
    t.regex(await checkDatabase(place, { owner, migrations: both }), /schema up to date$/);
  }
});

test('A PgBouncer that gives connections away between transactions is refused by name, at the start and by a check', async (t) => {
  const real = await server();
  await using database = await real.createDatabase();
  await using bouncer = await startPgBouncer(database, 'transaction');
  const address = bouncer.target;
  const refused = { code: 'unavailable', message: /is behind a pooler.*pool_mode = session/ } as const;
  await t.throwsAsync(openPostgres({ address, owner, migrations: both }), refused);
  await t.throwsAsync(openPostgres({ address, owner, migrations: both }), refused);
  await t.throwsAsync(checkDatabase({ engine: 'postgres', address }, { owner, migrations: both }), refused);
});
