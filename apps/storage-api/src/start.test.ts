import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashSecret } from '@morpheo/service/http';
import test from 'ava';
import { loadConfig } from './config.ts';
import { start } from './start.ts';
import { refused } from './testing/expect.ts';

const problemsOf = (...argv: string[]) => {
  try {
    loadConfig(argv, {});
    return '';
  } catch (error) {
    return String(error);
  }
};

test('the flags of the original are understood', (t) => {
  const flags = '-host 0.0.0.0 -port 80 -user a -password b -blobstore local -data-dir /x -cert c -key k';
  const loaded = loadConfig(flags.split(' '), {});
  if (loaded.kind !== 'settings') return t.fail(loaded.kind);
  t.like(loaded.values, { host: '0.0.0.0', port: 80, user: 'a', dataDir: '/x', cert: 'c', key: 'k' });
  t.is(loaded.values.password?.reveal(), 'b');
});

test('without credentials nothing starts', (t) => {
  t.regex(problemsOf(), /Nobody could call/);
  t.regex(problemsOf('--user', 'a'), /--user and --password belong together/);
  t.is(problemsOf('--insecure-open'), '');
  t.regex(problemsOf('--insecure-open', '--host', '0.0.0.0'), /serves loopback alone/);
  t.regex(problemsOf('--insecure-open', '--credentials', 'file'), /contradict/);
});

test('the known password of the original is for loopback alone', (t) => {
  const known = ['-user', 'u', '-password', 'p'];
  t.is(problemsOf(...known), '');
  t.regex(problemsOf(...known, '-host', '0.0.0.0'), /Everybody knows/);
});

test('a store that is not built in is refused', (t) => {
  t.regex(problemsOf('--insecure-open', '-blobstore', 's3'), /--blobstore .*"local"/);
});

test('a service starts from its flags and knows its callers', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'storage-start-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'credentials.json');
  await writeFile(
    file,
    JSON.stringify([{ name: 'ann', roles: ['reader'], secretHash: await hashSecret('secret') }]),
  );
  const flags = `--port 0 --user bob --password word --credentials ${file} --data-dir ${folder} --log-level error`;
  await using service = await start(flags.split(' '), {});
  const { url } = service?.ready ?? {};
  const status = async (credentials: string, method: string) => {
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    return (await fetch(`${String(url)}/data`, { method, headers: { authorization } })).status;
  };
  t.is(await status('ann:secret', 'GET'), 200);
  t.is(await status('ann:secret', 'POST'), 403);
  t.is(await status('bob:word', 'POST'), 400);
  t.is(await status('bob:wrong', 'GET'), 401);
});

test('a start that fails says why', async (t) => {
  await refused(t, start(['--colour', 'red'], {}), 'invalid_request', /no such flag/);
});
