import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Directory, directory } from '@morpheo/common';
import { withParts } from '@morpheo/real-parts';
import { sharedPostgres } from '@morpheo/service/database/testing';
import { createCallers, hashSecret } from '@morpheo/service/http';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openTestService, type TestService } from '../testing/open-service.ts';

const postgresTest = withParts(test, 'postgres');
const postgres = sharedPostgres(test);

const HOUR_MS = 3_600_000;

/** Adds a person as the admin of the service, and returns a token of it. */
async function addPerson(service: TestService, name: string, roles: readonly string[]): Promise<string> {
  const json = { 'content-type': 'application/json' };
  const path = `/v1/people/${encodeURIComponent(name)}`;
  const put = await service.call('admin', path, {
    method: 'PUT',
    headers: json,
    body: JSON.stringify({ roles }),
  });
  if (put.status !== 200) throw new Error(await put.text());
  const made = await service.call('admin', `${path}/tokens`, { method: 'POST', headers: json, body: '{}' });
  return ((await made.json()) as { token: string }).token;
}

const statusAs = async (service: TestService, token: string, path = '/problem', method = 'GET') => {
  const answer = await fetch(service.url + path, { method, headers: { authorization: `Bearer ${token}` } });
  await answer.body?.cancel();
  return answer.status;
};

test('A person is let in by a token, with the roles of now, until it is revoked', async (t) => {
  await using service = await openTestService({ peopleEveryMs: HOUR_MS });
  const token = await addPerson(service, 'ann', ['reader']);
  t.is(await statusAs(service, token), 200);
  t.is(await statusAs(service, token, '/v1/people'), 403);
  await addPerson(service, 'ann', ['admin']);
  t.is(await statusAs(service, token, '/v1/people'), 200);
  const [, id] = token.split('.');
  t.is(await statusAs(service, token, `/v1/people/ann/tokens/${id}`, 'DELETE'), 204);
  t.is(await statusAs(service, token), 401, 'at once, though it was right before');
});

test('Who is removed is let in no more, at once', async (t) => {
  await using service = await openTestService({ peopleEveryMs: HOUR_MS });
  const token = await addPerson(service, 'ann', ['reader']);
  t.is(await statusAs(service, token), 200);
  const removed = await service.call('admin', '/v1/people/ann', { method: 'DELETE' });
  t.deepEqual(await removed.json(), { name: 'ann', owns: { things: 0, bytes: 0 } });
  t.is(await statusAs(service, token), 401);
});

test('People are let in after a restart', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'people-'));
  const service = await openTestService({}, folder.path);
  const token = await addPerson(service, 'ann', ['reader']);
  await service[Symbol.asyncDispose]();
  await using again = await openTestService({}, folder.path);
  t.is(await statusAs(again, token), 200);
});

test('Services are told who may call, and told again only what is new', async (t) => {
  await using service = await openTestService();
  const token = await addPerson(service, 'ann', ['reader', 'uploader']);
  await addPerson(service, 'bob', ['reader']);
  const ask = async (known = '') =>
    await service.call('compute', '/v1/directory', { headers: { 'if-none-match': known } });
  const first = await ask();
  t.is(first.headers.get('content-type'), 'application/json');
  const etag = first.headers.get('etag') ?? '';
  const { people }: Directory = directory.parse(await first.json());
  t.deepEqual(
    people.map(({ name, roles, tokens }) => [name, roles, tokens.length]),
    [
      ['ann', ['reader', 'uploader'], 1],
      ['bob', ['reader'], 1],
    ],
  );
  t.false(JSON.stringify(people).includes(token.split('.')[2] ?? ''));
  const same = await ask(`"other", W/${etag}`);
  t.deepEqual([same.status, same.headers.get('etag'), await same.text()], [304, etag, '']);
  await addPerson(service, 'eve', ['reader']);
  const changed = await ask(etag);
  t.is(changed.status, 200);
  t.not(changed.headers.get('etag'), etag);
  for (const role of ['orchestrator', 'worker', 'uploader', 'reader'] as const) {
    t.is((await service.call(role, '/v1/directory')).status, 403, role);
  }
  t.is((await service.call(null, '/v1/directory')).status, 401);
});

test('Names that cannot be called, or stand for everybody, are refused', async (t) => {
  await using service = await openTestService();
  for (const name of [
    'a.b',
    'a:b',
    'a b',
    'a?b',
    'anonymous',
    'anybody',
    'a'.repeat(101),
    'ä'.normalize('NFD'),
  ]) {
    await t.throwsAsync(addPerson(service, name, ['reader']), { message: /invalid_request/ }, name);
  }
  await t.throwsAsync(
    addPerson(service, 'ann', ['attempt']),
    { message: /invalid_request/ },
    'only a ticket gives it',
  );
  await t.throwsAsync(addPerson(service, 'ann', []), { message: /invalid_request/ });
  t.is(await statusAs(service, await addPerson(service, 'a-name_of~one+hundred', ['reader'])), 200);
});

test('A name of the credentials file is refused, and holds where both have it', async (t) => {
  const entry = async (name: string, secret: string) => ({
    ...{ name, roles: ['admin'] as const },
    secretHash: await hashSecret(secret, { isRandom: true }),
  });
  const callers = createCallers([await entry('admin', 'secret')]);
  await using service = await openTestService({ callers });
  await t.throwsAsync(addPerson(service, 'admin', ['reader']), { message: /Take it out there first/ });
  const token = await addPerson(service, 'ann', ['reader']);
  t.is(await statusAs(service, token), 200);
  callers.replace('file', [await entry('admin', 'secret'), await entry('ann', 'other')]);
  t.is(await statusAs(service, token), 401);
  t.is(await statusAs(service, 'ann.other'), 200);
});

postgresTest(
  'Of two services on one database each hears at once whom the other lets in or not',
  async (t) => {
    await using server = await (await postgres()).createDatabase();
    const options = { database: { engine: 'postgres', address: server }, peopleEveryMs: HOUR_MS } as const;
    await using one = await openTestService(options);
    await using other = await openTestService(options);
    const token = await addPerson(one, 'ann', ['reader']);
    await eventually(t, async (t) => t.is(await statusAs(other, token), 200));
    await one.call('admin', '/v1/people/ann', { method: 'DELETE' });
    t.is(await statusAs(one, token), 401);
    await eventually(t, async (t) => t.is(await statusAs(other, token), 401));
  },
);

postgresTest(
  'Where that word is lost, the other service hears of it the next time that it looks',
  async (t) => {
    await using server = await (await postgres()).createDatabase();
    const database = { engine: 'postgres', address: server } as const;
    await using one = await openTestService({ database });
    await using other = await openTestService({ database, peopleEveryMs: 20 });
    const token = await addPerson(one, 'ann', ['reader']);
    await eventually(t, async (t) => t.is(await statusAs(other, token), 200));
  },
);
