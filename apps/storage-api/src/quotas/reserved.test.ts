import { TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import { encoded } from '../resumable/testing.ts';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id } from '../testing/requests.ts';

const version = { 'tus-resumable': TUS_VERSION };
const ALICE = { principal: { name: 'alice', roles: ['uploader' as const] } };
const WORKER = { principal: { name: 'worker', roles: ['worker' as const] } };

async function begin({ api }: TestStorage, size: number, call: typeof ALICE | null = ALICE) {
  const metadata = encoded({ type: 'data', uuid: id(size) });
  const headers = { ...version, 'upload-length': size, 'upload-metadata': metadata };
  const { headers: told } = await api.createUpload({ headers }, call ?? undefined);
  return told.location?.split('/')[1] ?? '';
}

async function send({ api }: TestStorage, upload: string, from: number, bytes: number): Promise<void> {
  await api.patchUpload(
    {
      params: { upload },
      headers: { ...version, 'upload-offset': from },
      body: bodyOf(Buffer.alloc(bytes, from + bytes), { contentType: TUS_CHUNK_TYPE }),
    },
    ALICE,
  );
}

const usageOf = async ({ api }: TestStorage) => (await api.usage({}, ALICE)).owners[0];

testOnEngines('a resumable upload reserves all that it has announced', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 100, uploadExpiryMs: 1 });
  const first = await begin(storage, 60);
  await refused(t, begin(storage, 41), 'quota_exceeded', /alice has 60 of 100 bytes, and 41 more/);
  const plain = bodyOf('x'.repeat(41));
  const call = storage.api.upload({ params: { type: 'data' }, query: {}, body: plain }, ALICE);
  await refused(t, call, 'quota_exceeded');
  await begin(storage, 40);
  t.like(await usageOf(storage), { bytes: 0, reserved_bytes: 100, quota: 100, kinds: [] });
  await send(storage, first, 0, 30);
  t.like(await usageOf(storage), { bytes: 0, reserved_bytes: 100 });
  await send(storage, first, 30, 30);
  t.like(await usageOf(storage), { bytes: 60, reserved_bytes: 40 });
  // The clock of the database has to go on by a millisecond.
  do await storage.sweep();
  while ((await usageOf(storage))?.reserved_bytes !== undefined);
  await begin(storage, 39);
  t.like(await usageOf(storage), { bytes: 60, reserved_bytes: 39 });
});

testOnEngines('uploads that begin at once do not reserve too much together', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 100 });
  const sizes = Array.from({ length: 12 }, (_, index) => 21 + index);
  const outcomes = await Promise.allSettled(sizes.map((size) => begin(storage, size)));
  t.true(outcomes.some(({ status }) => status === 'fulfilled'));
  const reserved = (await usageOf(storage))?.reserved_bytes ?? 0;
  t.true(reserved > 60 && reserved <= 100, `${reserved} bytes`);
});

testOnEngines('an upload that is given up reserves nothing any more', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ quota: 100 });
  const upload = await begin(storage, 100);
  await storage.api.deleteUpload({ params: { upload }, headers: version }, ALICE);
  t.like(await usageOf(storage), { bytes: 0, kinds: [] });
  await t.notThrowsAsync(begin(storage, 99));
});

testOnEngines('the results of an order count once, whichever attempt brings one', async (t, open) => {
  await using storage = await open({ quota: 100 });
  const stage = (order: number, attempt: number, size: number) =>
    storage.api.stageResult(
      {
        params: { order: id(order), attempt },
        query: { type: 'prediction', uuid: id(order), owner: 'alice' },
        body: bodyOf(Buffer.alloc(size, attempt)),
      },
      WORKER,
    );
  await stage(1, 1, 60);
  // The answer was lost, and the worker says it again; then it dies, and another attempt follows.
  await t.notThrowsAsync(stage(1, 1, 60));
  await t.notThrowsAsync(stage(1, 2, 61));
  await refused(t, stage(1, 3, 161), 'quota_exceeded');
  await storage.api.publishResult({ params: { order: id(1), attempt: 2 }, query: {} });
  t.like(await usageOf(storage), { bytes: 61, kinds: [{ kind: 'prediction', count: 1, bytes: 61 }] });
  await refused(t, stage(2, 1, 40), 'quota_exceeded');
  await stage(2, 1, 39);
  await storage.api.discardResults({ params: { order: id(2) }, query: {} });
  t.like(await usageOf(storage), { bytes: 61 });
});

testOnEngines('what comes without a name belongs to nobody, whatever the way', async (t, open) => {
  await using storage = await open({ quota: 1 });
  const { api } = storage;
  const upload = await begin(storage, 7, null);
  await api.patchUpload({
    params: { upload },
    headers: { ...version, 'upload-offset': 0 },
    body: bodyOf('nobodys', { contentType: TUS_CHUNK_TYPE }),
  });
  await api.upload({ params: { type: 'data' }, query: {}, body: bodyOf('nor this') });
  const query = { type: 'prediction', uuid: id(3), owner: 'anonymous' } as const;
  await api.stageResult({ params: { order: id(4), attempt: 1 }, query, body: bodyOf('result') }, WORKER);
  const { owners } = await api.usage({});
  t.deepEqual(
    owners.map(({ owner, bytes }) => [owner, bytes]),
    [['', 21]],
  );
});
