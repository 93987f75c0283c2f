import type { Principal } from '@morpheo/common';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id } from '../testing/requests.ts';
import { readUsage } from './usage.ts';

const caller = (name: string, role: Principal['roles'][number] = 'uploader') => ({
  principal: { name, roles: [role] },
});

const upload = async ({ api }: TestStorage, owner: string, number: number, bytes: string, known = true) =>
  await api.upload(
    {
      params: { type: 'algo' },
      query: { uuid: id(number) },
      body: bodyOf(bytes, known ? {} : { contentLength: undefined }, 10),
    },
    caller(owner),
  );

const usageOf = async ({ api }: TestStorage, owner: string) => (await api.usage({}, caller(owner))).owners[0];

testOnEngines('what is used is told by owner and kind', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await upload(storage, 'alice', 1, 'x'.repeat(30));
  await upload(storage, 'alice', 2, 'y'.repeat(20));
  await upload(storage, 'bob', 3, 'x'.repeat(30));
  const query = { type: 'model', uuid: id(4), algo: id(1), owner: 'bob' } as const;
  const params = { order: id(5), attempt: 1 };
  await storage.api.stageResult({ params, query, body: bodyOf('model') }, caller('w', 'worker'));
  const all = await storage.api.usage({}, caller('root', 'admin'));
  t.deepEqual(all, {
    owners: [
      {
        owner: 'alice',
        bytes: 50,
        freeable_bytes: 20,
        kinds: [{ kind: 'algo', count: 2, bytes: 50 }],
      },
      {
        owner: 'bob',
        bytes: 35,
        freeable_bytes: 30,
        kinds: [
          { kind: 'algo', count: 1, bytes: 30 },
          { kind: 'staged', count: 1, bytes: 5 },
        ],
      },
    ],
    bytes: 85,
    blobs: 3,
    stored_bytes: 55,
    saved_bytes: 30,
  });
  await storage.api.publishResult({ params, query: {} });
  const own = await storage.api.usage({}, caller('bob'));
  t.deepEqual(own.owners[0]?.kinds, [
    { kind: 'algo', count: 1, bytes: 30 },
    { kind: 'model', count: 1, bytes: 5 },
  ]);
  t.like(own, { bytes: 35, blobs: 2, stored_bytes: 35, saved_bytes: 0 });
  t.like(await storage.api.usage({}, caller('nobody')), { bytes: 0, blobs: 0 });
});

testOnEngines(
  'an upload that would pass the quota is refused before its bytes',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage({ quota: 50, quotas: { rich: 1000 } });
    await upload(storage, 'alice', 1, 'a'.repeat(40));
    let asked = 0;
    async function* source() {
      asked++;
      yield Buffer.alloc(11);
    }
    const body = { body: source(), contentLength: 11 };
    const call = storage.api.upload({ params: { type: 'data' }, query: {}, body }, caller('alice'));
    const error = await refused(t, call, 'quota_exceeded', /alice has 40 of 50 bytes, and 11 more/);
    t.like(error?.details, { used: 40, quota: 50, wanted: 11, freeable: 40 });
    t.is(asked, 0);
    await upload(storage, 'alice', 2, 'b'.repeat(10));
    await upload(storage, 'rich', 3, 'c'.repeat(900));
    await refused(t, upload(storage, 'bob', 4, 'd'.repeat(51)), 'quota_exceeded');
    t.is((await usageOf(storage, 'alice'))?.quota, 50);
  },
);

testOnEngines('an upload of unknown length is refused as it comes', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 50 });
  await refused(t, upload(storage, 'alice', 1, 'a'.repeat(51), false), 'quota_exceeded');
  t.deepEqual(await storage.files(), []);
  await upload(storage, 'alice', 1, 'a'.repeat(50), false);
  const form = formOf(['uuid', id(2)], ['name', 'n'], ['size', '1'], ['blob', 'two']);
  const call = storage.api.upload({ params: { type: 'algo' }, query: {}, body: form }, caller('alice'));
  await refused(t, call, 'quota_exceeded');
});

testOnEngines('uploads at once do not pass the quota together', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 100 });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) =>
      upload(storage, 'alice', index, String.fromCharCode(65 + index).repeat(30), index % 2 === 0),
    ),
  );
  const stored = outcomes.filter(({ status }) => status === 'fulfilled').length;
  const bytes = (await usageOf(storage, 'alice'))?.bytes ?? 0;
  t.is(bytes, stored * 30);
  t.true(bytes <= 100 && stored > 0);
});

testOnEngines('what is deleted or replaced makes room', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 100 });
  const form = (bytes: string) =>
    formOf(
      ['uuid', id(1)],
      ['name', 'n'],
      ['description', 'd'],
      ['size', String(bytes.length)],
      ['blob', bytes],
    );
  const body = form('x'.repeat(80));
  await storage.api.upload({ params: { type: 'problem' }, query: {}, body }, caller('alice'));
  const patch = async (bytes: string) => {
    const change = formOf(['size', String(bytes.length)], ['blob', bytes]);
    await storage.api.patchProblem({ params: { uuid: id(1) }, body: change }, caller('root', 'admin'));
  };
  await patch('y'.repeat(100));
  await refused(t, patch('z'.repeat(101)), 'quota_exceeded');
  await refused(t, upload(storage, 'alice', 2, 'a'), 'quota_exceeded');
  await storage.api.remove({ params: { type: 'problem', uuid: id(1) } });
  await upload(storage, 'alice', 2, 'a'.repeat(100));
  t.is((await usageOf(storage, 'alice'))?.bytes, 100);
});

testOnEngines('a worker brings results whatever the usual quota is', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 4, quotas: { small: 4 } });
  const stage = (owner: string, attempt: number, told?: string) => {
    const query = { type: 'prediction', uuid: id(attempt), owner: told } as const;
    const params = { order: id(9), attempt };
    return storage.api.stageResult({ params, query, body: bodyOf('12345') }, caller(owner, 'worker'));
  };
  await t.notThrowsAsync(stage('worker', 1));
  await refused(t, stage('small', 2), 'quota_exceeded');
  await refused(t, stage('worker', 3, 'alice'), 'quota_exceeded');
});

testOnEngines(
  'what is used is the same where it is reckoned a part at a time',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    for (let n = 1; n < 9; n++)
      await upload(storage, n % 2 === 0 ? 'alice' : 'bob', n, 'x'.repeat(1 + (n % 4)));
    const model = { type: 'model', uuid: id(20), algo: id(1), owner: 'bob' } as const;
    for (const order of [21, 22]) {
      const params = { order: id(order), attempt: 1 };
      await storage.api.stageResult(
        { params, query: { ...model, uuid: id(order) }, body: bodyOf(`model ${order}`) },
        caller('w', 'worker'),
      );
      if (order === 21) await storage.api.publishResult({ params, query: {} });
    }
    for (const principal of [caller('root', 'admin'), caller('bob'), caller('carol')].map(
      (call) => call.principal,
    )) {
      const [whole, parts] = [undefined, 0].map((atOnce) =>
        readUsage(storage.database, principal, () => undefined, atOnce),
      );
      t.deepEqual((await parts)?.usage, (await whole)?.usage);
      t.is((await parts)?.isLong, principal.name !== 'carol');
    }
  },
);
