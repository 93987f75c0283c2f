import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mainOf } from '@morpheo/real-parts';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { type Connection, startPlatform } from '../index.ts';

interface Checked {
  readonly code: number;
  /** By the name of the part: `ok`, `warn` or `wrong`, and the words behind it. */
  readonly parts: Readonly<Record<string, readonly [string, string]>>;
}

/** Runs `--check` of a service as an operator does. */
async function check(app: Parameters<typeof mainOf>[0], ...argv: readonly string[]): Promise<Checked> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [mainOf(app), '--check', ...argv], (error, stdout) => {
      const lines = stdout.split('\n').flatMap((line) => {
        const [, name, state, text] = /^(\S.*?) +(ok|warn|wrong) +(.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [[name, [state ?? '', text ?? '']] as const];
      });
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, parts: Object.fromEntries(lines) });
    });
  });
}

function workerFlags(folder: string, { compute, storage, credentials }: Connection): string[] {
  const { name, secret } = credentials;
  return Object.entries({
    'data-dir': join(folder, 'second-worker'),
    runtime: 'process',
    compute,
    'compute-user': name,
    'compute-password': secret,
    storage,
    'storage-user': name,
    'storage-password': secret,
  }).flatMap(([flag, value]) => [`--${flag}`, value]);
}

function computeFlags(folder: string, { storage, orchestrator, credentials }: Connection): string[] {
  return Object.entries({
    'data-dir': folder,
    storage,
    'storage-user': credentials.name,
    'storage-password': credentials.secret,
    orchestrator,
    'insecure-open': 'true',
  }).flatMap(([flag, value]) => [`--${flag}`, value]);
}

test('A check of a service tells of each part whether it is well, and changes nothing', async (t) => {
  t.timeout(300_000);
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const platform = await startPlatform({ folder: folder.path, log: silentLog });
  const { connection } = platform;
  const before = await readdir(folder.path);
  const database = await readFile(join(folder.path, 'compute.db'));
  const worker = await check('compute-worker', ...workerFlags(folder.path, connection));
  const compute = await check('compute-api', ...computeFlags(folder.path, connection));
  const stranger = await check(
    'compute-worker',
    ...workerFlags(folder.path, { ...connection, credentials: { name: 'admin', secret: 'wrong' } }),
  );
  t.deepEqual(await readdir(folder.path), before);
  t.true(database.equals(await readFile(join(folder.path, 'compute.db'))));
  await platform[Symbol.asyncDispose]();
  const alone = await check('compute-worker', ...workerFlags(folder.path, connection));

  const states = ({ parts }: Checked) =>
    Object.fromEntries(Object.entries(parts).map(([name, [state]]) => [name, state]));
  const well = {
    settings: 'ok',
    'data folder': 'ok',
    'compute-api': 'ok',
    'storage-api': 'ok',
    runtime: 'ok',
  };
  t.deepEqual([worker.code, states(worker)], [0, well]);
  t.is(compute.code, 0, JSON.stringify(compute.parts));
  t.regex(compute.parts.database?.[1] ?? '', /compute\.db is in use/);
  t.deepEqual(
    [stranger.code, states(stranger)],
    [1, { ...well, 'compute-api': 'wrong', 'storage-api': 'wrong' }],
  );
  t.regex(stranger.parts['compute-api']?.[1] ?? '', /refuses our name or password/);
  t.deepEqual([alone.code, states(alone)], [1, { ...well, 'compute-api': 'wrong', 'storage-api': 'wrong' }]);
  t.regex(alone.parts['storage-api']?.[1] ?? '', /Start it, or correct --storage/);
});

test('A check tells of ticket keys and credentials that the start, or every attempt, would fail on', async (t) => {
  t.timeout(300_000);
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const path = (name: string): string => join(folder.path, name);
  const platform = await startPlatform({ folder: path('platform'), log: silentLog });
  await writeFile(path('other.key'), randomBytes(32).toString('base64'));
  await writeFile(path('bad.key'), 'short');
  await writeFile(path('callers.json'), JSON.stringify([{ name: 'a', roles: ['reader'], secretHash: 'x' }]));
  const compute = async (keys: string) =>
    await check(
      'compute-api',
      ...computeFlags(path('compute'), platform.connection),
      '--ticket-key-file',
      keys,
    );
  const [same, other, bad, storage] = await Promise.all([
    compute(join(path('platform'), 'ticket.key')),
    compute(path('other.key')),
    compute(path('bad.key')),
    check('storage-api', '--data-dir', path('storage'), '--credentials', path('callers.json')),
  ]);
  await platform[Symbol.asyncDispose]();
  t.deepEqual(same.parts['ticket keys']?.[0], 'ok');
  t.deepEqual(other.parts['ticket keys'], [
    'wrong',
    'storage-api does not know our ticket key: give both the same --ticket-key-file.',
  ]);
  t.is(other.code, 1);
  t.regex(bad.parts['ticket keys']?.join(' ') ?? '', /^wrong .*bad\.key, line 1: a ticket key is/);
  t.regex(
    storage.parts['ticket keys']?.join(' ') ?? '',
    /^warn none\. No attempt can read or stage anything/,
  );
  t.regex(storage.parts.credentials?.join(' ') ?? '', /^wrong .*callers\.json: The secretHash of "a"/);
});
