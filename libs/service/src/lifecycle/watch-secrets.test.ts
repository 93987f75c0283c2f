import { execFile } from 'node:child_process';
import { mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { z } from 'zod';
import { defineSettings, loadSettings, peerOf, Secret } from '../config/index.ts';
import { memoryLog, silentLog } from '../log/index.ts';
import { eventually } from '../testing/eventually.ts';
import { watchSecrets } from './watch-secrets.ts';

const settings = defineSettings({
  password: { flag: 'password', env: 'DEMO_PASSWORD', schema: z.string().min(3), secret: true, help: 'It.' },
});

/** Settings whose password is in a file, which is watched. */
async function openWatched() {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'secrets-')));
  const path = join(folder.path, 'password');
  await writeFile(path, 'first\n');
  const env = { DEMO_PASSWORD_FILE: path };
  const loaded = loadSettings({ name: 'demo', description: '', version: '1', settings, argv: [], env });
  if (loaded.kind !== 'settings') throw new Error(`expected settings, got ${loaded.kind}`);
  const log = memoryLog();
  stack.use(await watchSecrets(loaded.values, { log, everyMs: 1 }));
  const opened = stack.move();
  return {
    path,
    password: loaded.values.password,
    warnings: () => log.entries.filter(({ level }) => level === 'warn').map((entry) => JSON.stringify(entry)),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

test('A secret is what its file holds, without the newline, whenever that changes', async (t) => {
  await using watched = await openWatched();
  t.is(watched.password.reveal(), 'first');
  await writeFile(watched.path, 'second\n');
  await eventually(t, (t) => t.is(watched.password.reveal(), 'second'));
});

test('A peer is called with the secret as it is at the time', async (t) => {
  await using watched = await openWatched();
  const { credentials } = peerOf('http://peer', 'us', watched.password);
  t.deepEqual(credentials, { name: 'us', secret: 'first' });
  await writeFile(watched.path, 'second');
  await eventually(t, (t) => t.deepEqual(credentials, { name: 'us', secret: 'second' }));
});

test('A file that is empty, holds no good value or is gone is a warning, and the secret stays', async (t) => {
  await using watched = await openWatched();
  for (const [text, reason] of [
    ['', /DEMO_PASSWORD_FILE names .*password, which is empty/],
    ['no', /DEMO_PASSWORD_FILE names .*password, which holds no good value: Too small/],
  ] as const) {
    await writeFile(watched.path, text);
    await eventually(t, (t) => t.regex(watched.warnings().at(-1) ?? '', reason));
  }
  await rm(watched.path);
  await eventually(t, (t) => t.regex(watched.warnings().at(-1) ?? '', /cannot be read/));
  t.is(watched.password.reveal(), 'first');
  await writeFile(watched.path, 'third');
  await eventually(t, (t) => t.is(watched.password.reveal(), 'third'));
});

test('What is made of a secret is made anew, and may refuse it', async (t) => {
  const secret = new Secret('a', { setting: '--a', path: '/a', parse: (text) => text });
  const made: string[] = [];
  secret.onRenewed(async () => {
    if (secret.reveal() === 'bad') throw new PlatformError('invalid_request', 'It is no good.');
    made.push(secret.reveal());
  });
  await secret.renew('b');
  await t.throwsAsync(secret.renew('bad'), { message: 'It is no good.' });
  t.deepEqual(made, ['b']);
  t.is(secret.reveal(), 'b');
});

test('A secret that came through a pipe is not read again', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'secrets-'));
  const path = join(folder.path, 'pipe');
  await promisify(execFile)('mkfifo', [path]);
  const parse = () => t.fail();
  await using _watched = await watchSecrets(
    { password: new Secret('piped', { setting: '--password-file', path, parse }) },
    { log: silentLog, everyMs: 1 },
  );
  t.pass();
});
