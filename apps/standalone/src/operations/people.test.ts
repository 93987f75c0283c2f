import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storageClient } from '@morpheo/client';
import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { openMemoryBroker } from '@morpheo/service/broker';
import { createCallers, hashSecret } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import { openStorageService } from '@morpheo/storage-api';
import test from 'ava';

const SECRET = 'of thirty-two characters or more';
const common = { host: '127.0.0.1', port: 0, version: 'test', log: silentLog };

async function callersOf(...roles: ('admin' | 'compute')[]) {
  const secretHash = await hashSecret(SECRET, { isRandom: true });
  return createCallers(roles.map((role) => ({ name: role, roles: [role], secretHash })));
}

/** A storage-api in a folder, and its API as an admin has it. */
async function openStorage(folder: string) {
  const service = await openStorageService({
    ...common,
    dataFolder: join(folder, 'storage'),
    callers: await callersOf('admin', 'compute'),
  });
  const api = storageClient({ url: service.url, credentials: { name: 'admin', secret: SECRET } });
  return { url: service.url, api, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}

/** A compute-api in a folder that knows nobody but the people; `statusOf` calls it with a token. */
async function openCompute(folder: string, url: string) {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(
    await openComputeService({
      ...common,
      database: { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker: stack.use(openMemoryBroker()),
      storage: { url, credentials: { name: 'compute', secret: SECRET } },
      callers: await callersOf(),
      directory: { everyMs: 20, copy: join(folder, 'directory.json') },
      anonymousIntake: false,
      settings: COMPUTE_DEFAULTS,
    }),
  );
  const opened = stack.move();
  return {
    statusOf: async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`${service.url}/v1/orders`, { headers });
      await answer.body?.cancel();
      return answer.status;
    },
    ready: async () => await (await fetch(`${service.url}/ready`)).text(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

test('People of storage-api are let in by compute-api, and no more once their token is revoked', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'people-'));
  await using storage = await openStorage(folder.path);
  await using compute = await openCompute(folder.path, storage.url);
  const params = { name: 'ann' };
  await storage.api.putPerson({ params, body: { roles: ['reader'] } });
  const { token, id } = await storage.api.makeToken({ params, body: {} });
  await eventually(t, async (t) => t.is(await compute.statusOf(token), 200));
  await storage.api.revokeToken({ params: { ...params, id } });
  await eventually(t, async (t) => t.is(await compute.statusOf(token), 401));
  const next = await storage.api.makeToken({ params, body: {} });
  await eventually(t, async (t) => t.is(await compute.statusOf(next.token), 200));
  await storage.api.removePerson({ params });
  await eventually(t, async (t) => t.is(await compute.statusOf(next.token), 401));
});

test('While storage-api is away compute-api lets people in, after a restart too, and says that it is away', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'people-'));
  const params = { name: 'ann' };
  const storage = await openStorage(folder.path);
  await storage.api.putPerson({ params, body: { roles: ['reader'] } });
  const { token } = await storage.api.makeToken({ params, body: {} });
  {
    await using compute = await openCompute(folder.path, storage.url);
    t.is(await compute.statusOf(token), 200, 'from the start');
    t.notRegex(await compute.ready(), /No people|copy/);
    await storage[Symbol.asyncDispose]();
    await eventually(t, async (t) =>
      t.regex(await compute.ready(), /The people are known from a copy that is/),
    );
    t.is(await compute.statusOf(token), 200);
  }
  await using again = await openCompute(folder.path, storage.url);
  t.is(await again.statusOf(token), 200);
  t.is(await again.statusOf(`${token}x`), 401);
  t.regex(await again.ready(), /The people are known from a copy that is/);
});
