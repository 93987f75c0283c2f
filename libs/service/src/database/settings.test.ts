import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { loadSettings } from '../config/index.ts';
import { databaseContradictions, databaseSettings, readDatabasePlace } from './settings.ts';

const settings = databaseSettings('DEMO_');

function load(argv: readonly string[], env: Record<string, string> = {}) {
  const loaded = loadSettings({
    name: 'demo',
    description: 'Shows settings.',
    version: '1',
    settings,
    envPrefix: 'DEMO_',
    argv,
    env,
  });
  if (loaded.kind !== 'settings') throw new Error(`expected settings, got ${loaded.kind}`);
  return loaded.values;
}

const place = async (...argv: string[]) => await readDatabasePlace(load(argv), '/data/demo.db');

test('Without a word rows are kept in the file', async (t) => {
  t.deepEqual(databaseContradictions(load([]), true), []);
  t.deepEqual(await place(), { engine: 'sqlite', file: '/data/demo.db' });
});

test('The flags of the original name a PostgreSQL', async (t) => {
  const argv = ['-db-host', 'db', '-db-port', '6000', '-db-name', 'n', '-db-user', 'u', '-db-pass', 'p'];
  t.deepEqual(databaseContradictions(load(argv), false), []);
  t.deepEqual(await place(...argv), {
    engine: 'postgres',
    address: { host: 'db', port: 6000, database: 'n', user: 'u', password: 'p' },
    poolSize: 10,
    times: { statementMs: 15_000 },
  });
});

test('A URL names all of it, and TLS may come on top', async (t) => {
  const url = 'postgres://u:p@db/n';
  const config = load(['--db-tls', 'system', '--db-pool-size', '3'], { DEMO_DB_URL: url });
  t.deepEqual(databaseContradictions(config, false), []);
  t.like(await readDatabasePlace(config, ''), {
    poolSize: 3,
    address: { host: 'db', port: 5432, tls: 'system' },
  });
});

test('The password is that of its file, whenever that changes', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'database-'));
  const file = join(folder.path, 'password');
  await writeFile(file, 'one');
  const argv = ['--db-host=db', '--db-name=n', '--db-user=u', '--db-password-file', file];
  const config = load(argv);
  const found = await readDatabasePlace(config, '');
  if (found.engine !== 'postgres') return t.fail();
  t.is(found.address.password, 'one');
  await config.dbPassword?.renew('two\n');
  t.is(found.address.password, 'two');
});

test('Of a URL whose file changes, the password is taken, and one that is none is refused', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'database-'));
  const file = join(folder.path, 'url');
  await writeFile(file, 'postgres://u:one@db/n');
  const config = load(['--db-url-file', file]);
  const found = await readDatabasePlace(config, '');
  if (found.engine !== 'postgres') return t.fail();
  await config.dbUrl?.renew('postgres://u:two@db/n');
  t.is(found.address.password, 'two');
  await t.throwsAsync(async () => await config.dbUrl?.renew('u:three@db'), {
    message: /should be postgres:/,
  });
  t.is(found.address.password, 'two');
});

const PROBLEMS: readonly [string, readonly string[], RegExp][] = [
  ['a file without a folder', [], /--data-dir is required/],
  ['a file on a server', ['--database=sqlite', '--db-host=db'], /no use for --db-host: leave them out/],
  ['a server without its names', ['--db-host=db'], /needs --db-name, --db-user as well/],
  ['a server without anything', ['--database=postgres'], /needs --db-host, --db-name, --db-user as well/],
  ['one thing said twice', ['--db-url=postgres://u@h/n', '--db-host=h'], /says all of --db-host/],
  ['a URL of another kind', ['--db-url=mysql://u:hunter22@h/n'], /should be postgres:/],
  ['TLS on a socket', ['--db-url=postgres://u@h/n?host=/run', '--db-tls=system'], /no use on a Unix socket/],
];

for (const [what, argv, problem] of PROBLEMS) {
  test(`It does not start with ${what}`, (t) => {
    const problems = databaseContradictions(load(argv), argv.length > 0);
    t.is(problems.length, 1, problems.join('\n'));
    t.regex(problems.join(), problem);
    t.notRegex(problems.join(), /hunter22/);
  });
}
