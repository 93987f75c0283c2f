import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Secret } from '../config/index.ts';
import { openCalls } from './calls.ts';
import { pingBucket } from './check.ts';
import { followKeys, keysOf } from './credentials.ts';
import { startFakeS3, TEST_WORDS } from './testing/index.ts';

const STALE_MS = 5_000;

/** A secret that a test renews. */
function inFile(value: string): Secret {
  return new Secret(value, { setting: '--secret-file', path: '/secret', parse: (text) => text });
}

test('Each request is signed with the keys as they are then', async (t) => {
  const seen: string[] = [];
  await using fake = await startFakeS3(({ headers }) => {
    const [, id] = /Credential=(\w+)/.exec(headers.authorization ?? '') ?? [];
    seen.push(`${id} ${headers['x-amz-security-token']}`);
  });
  const [id, token] = [inFile('KEYONE'), inFile('tokenone')];
  const credentials = {
    get accessKeyId() {
      return id.reveal();
    },
    secretAccessKey: inFile('secret'),
    sessionToken: token,
  };
  using calls = openCalls({ ...fake.options, credentials, words: TEST_WORDS });
  await pingBucket(calls, '');
  t.is(seen.at(-1), 'KEYONE tokenone');
  await id.renew('KEYTWO');
  await token.renew('tokentwo');
  await pingBucket(calls, '');
  t.is(seen.at(-1), 'KEYTWO tokentwo');
});

test('Keys that do not say when they end are looked for again, and kept where that fails', async (t) => {
  let now = 0;
  let next = async () => ({ accessKeyId: 'a', secretAccessKey: 's' });
  const errors: unknown[] = [];
  const keys = followKeys(
    async () => await next(),
    (error) => errors.push(error),
    () => now,
  );
  const idOf = async () => (await keys()).accessKeyId;
  t.is(await idOf(), 'a');
  next = async () => ({ accessKeyId: 'b', secretAccessKey: 's' });
  t.is(await idOf(), 'a', 'not for each request');
  now += STALE_MS;
  t.is(await idOf(), 'b');
  next = async () => await Promise.reject(new Error('The file is half written'));
  for (let n = 0; n < 3; n++) {
    now += STALE_MS;
    t.is(await idOf(), 'b');
  }
  t.is(errors.length, 1, 'it is told once');
  next = async () => ({ accessKeyId: 'c', secretAccessKey: 's' });
  now += STALE_MS;
  t.is(await idOf(), 'c');
});

test("Keys of a profile are found again when AWS's own file of them changes", async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'aws-'));
  const file = join(folder.path, 'credentials');
  const write = async (id: string) =>
    await writeFile(file, `[default]\naws_access_key_id = ${id}\naws_secret_access_key = secret\n`);
  for (const name of Object.keys(process.env).filter((name) => name.startsWith('AWS_')))
    delete process.env[name];
  Object.assign(process.env, { AWS_SHARED_CREDENTIALS_FILE: file, AWS_EC2_METADATA_DISABLED: 'true' });
  let now = 0;
  const keys = keysOf({}, () => now);
  await write('KEYONE');
  t.is((await keys()).accessKeyId, 'KEYONE');
  await write('KEYTWO');
  now += STALE_MS;
  t.is((await keys()).accessKeyId, 'KEYTWO');
});

test('Keys that end are handed on with their end', async (t) => {
  const expiration = new Date(0);
  const keys = followKeys(
    async () => ({ accessKeyId: 'a', secretAccessKey: 's', expiration }),
    () => t.fail(),
  );
  t.is((await keys()).expiration, expiration);
});
