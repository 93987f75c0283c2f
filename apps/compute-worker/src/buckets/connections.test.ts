import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { quickFolder } from '@morpheo/real-parts';
import { answerError, startFakeS3 } from '@morpheo/service/buckets/testing';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openConnections } from './connections.ts';
import { fails, openTestConnections } from './testing.ts';

/** A server that takes every request, and what its connections are. */
async function open(others: Parameters<typeof openTestConnections>[1] = {}) {
  await using stack = new AsyncDisposableStack();
  const seen: string[] = [];
  const fake = stack.use(
    await startFakeS3(({ headers, url }) => {
      const [, id] = /Credential=(\w+)/.exec(headers.authorization ?? '') ?? [];
      seen.push(`${id} ${url}`);
    }),
  );
  const under = stack.use(await openTestConnections(fake.options, others));
  const opened = stack.move();
  return { ...under, seen, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

test('Owners read and write by the connections that name them, and are told no more of others [P1]', async (t) => {
  await using under = await open({ own: { read: ['ann', 'bob'], write: ['ann'] } });
  const { connections } = under;
  const openAs = async (owner: string | undefined, use: 'read' | 'write', connection = 'own') => {
    using place = await connections.open({ connection, prefix: 'a' }, { owner, use });
    return place.base;
  };
  t.is(await openAs('ann', 'write'), 'a/');
  t.is(await openAs('bob', 'read'), 'a/');
  t.is(await openAs(undefined, 'write', 'lab'), 'base/a/');
  const told = (use: string, name: string) =>
    `The owner of the order may not ${use} the bucket connection ${name}, or there is none of this name.`;
  await fails(t, openAs('bob', 'write'), 'bucket_refused', told('write to', 'own'));
  await fails(t, openAs('eve', 'read'), 'bucket_refused', told('read from', 'own'));
  await fails(t, openAs(undefined, 'read'), 'bucket_refused', told('read from', 'own'));
  await fails(t, openAs('ann', 'read', 'none'), 'bucket_refused', told('read from', 'none'));
});

test('A file that is no good is refused at first, and the one before holds on later [P2]', async (t) => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(quickFolder(), 'connections-')));
  const path = join(folder.path, 'buckets.json');
  const keys = join(folder.path, 'keys.json');
  const follow = { log: memoryLog(), stack, everyMs: 1 };
  const good = { bucket: 'b', endpoint: 'http://127.0.0.1:1', credentials: 'keys.json', read: '*' };
  await writeFile(keys, '{"access_key": "KEYONE"}');
  for (const [text, message] of [
    ['{', /is no JSON/],
    ['{"a b": {"bucket": "b"}}', /a name has letters/],
    ['{"a": {"bucket": "b", "reed": "*"}}', /Unrecognized key: "reed"/],
    ['{"a": {"bucket": "b", "prefix": "x/../y"}}', /a.prefix: leads out of its folder/],
    ['{"a": {"bucket": "b", "endpoint": "http://me:hush@host"}}', /keys do not belong into an address/],
    ['{"a": {"bucket": "b", "sse_key": "k"}}', /sse_key is the key of sse aws:kms/],
    ['{"a": {"bucket": "b", "ca": "none.pem"}}', /none.pem, which cannot be read/],
    [JSON.stringify({ a: good }), /keys.json is no good: secret_key/],
  ] as const) {
    await writeFile(path, text);
    await t.throwsAsync(openConnections(path, follow), { code: 'invalid_request', message });
  }
  await writeFile(keys, '{"access_key": "KEYONE", "secret_key": "hush-hush"}');
  await writeFile(path, JSON.stringify({ a: good }));
  const connections = await openConnections(path, follow);
  t.deepEqual(connections.names, ['a']);
  await writeFile(path, JSON.stringify({ a: good, b: { ...good, bucket: 7 } }));
  await eventually(t, (t) => t.regex(JSON.stringify(follow.log.entries), /b.bucket.*those before hold on/));
  t.deepEqual(connections.names, ['a']);
  await writeFile(path, JSON.stringify({ b: good }));
  await eventually(t, (t) => t.deepEqual(connections.names, ['b']));
  t.false(JSON.stringify(follow.log.entries).includes('hush-hush'));
});

test('Each use goes by the keys of the file as they are then, which no error shows [P2] [P3]', async (t) => {
  await using under = await open();
  const { connections, seen, writeKeys, log, write } = under;
  const signal = AbortSignal.timeout(60_000);
  await connections.check(signal);
  t.is(seen.at(-1)?.split(' ')[0], 'key');
  await writeKeys('KEYTWO', 'planted-secret');
  await connections.check(signal);
  t.is(seen.at(-1)?.split(' ')[0], 'KEYTWO');
  await using refusing = await startFakeS3((_, response) => answerError(response, 403, 'InvalidAccessKeyId'));
  await write({ lab: { endpoint: refusing.options.endpoint } });
  await eventually(t, async (t) => {
    const error = await t.throwsAsync(connections.check(signal), {
      message: /^The bucket connection lab at .*: it does not accept the keys: correct its credentials/,
    });
    log.error({ error }, 'as it would be logged');
    t.false(inspect(error, { depth: 9, showHidden: true }).includes('planted-secret'));
  });
  t.false(JSON.stringify(log.entries).includes('planted-secret'));
});

test("Buckets of Google are reached by Google's interface of S3 [P1]", async (t) => {
  await using under = await open({ google: { kind: 'gcs', endpoint: undefined, read: '*' } });
  const where = { connection: 'google', prefix: '' };
  using place = await under.connections.open(where, { owner: 'ann', use: 'read' });
  t.like(place.calls, { checksums: false, location: { endpoint: 'https://storage.googleapis.com' } });
  t.false(place.conditionalPuts);
});
