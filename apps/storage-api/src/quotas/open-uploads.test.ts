import { isPlatformError, TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import { encoded } from '../resumable/testing.ts';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id } from '../testing/requests.ts';

const headers = { 'tus-resumable': TUS_VERSION };
const ALICE = { principal: { name: 'alice', roles: ['uploader' as const] } };
const BOB = { principal: { name: 'bob', roles: ['uploader' as const] } };

async function begin({ api }: TestStorage, uuid: number, size: number, call?: typeof ALICE): Promise<string> {
  const metadata = encoded({ type: 'data', uuid: id(uuid) });
  const answer = await api.createUpload(
    { headers: { ...headers, 'upload-length': size, 'upload-metadata': metadata } },
    call,
  );
  return answer.headers.location?.split('/')[1] ?? '';
}

async function finish({ api }: TestStorage, upload: string, size: number): Promise<void> {
  const body = bodyOf(Buffer.alloc(size), { contentType: TUS_CHUNK_TYPE });
  await api.patchUpload({ params: { upload }, headers: { ...headers, 'upload-offset': 0 }, body }, ALICE);
}

const usageOf = async ({ api }: TestStorage) => (await api.usage({}, ALICE)).owners[0];

testOnEngines('an owner has so many resumable uploads under way, also without a quota', async (t, open) => {
  await using storage = await open({ openUploads: 2 });
  const [first, second] = [await begin(storage, 1, 10, ALICE), await begin(storage, 2, 20, ALICE)];
  const error = await refused(
    t,
    begin(storage, 3, 5, ALICE),
    'quota_exceeded',
    /alice has 2 resumable uploads under way, which have announced 30 bytes; at most 2 uploads\. Go on with one to its end, or delete one \(DELETE \/v1\/uploads\/[\da-f-]{36}, /,
  );
  t.like(error?.details, {
    open: { uploads: 2, bytes: 30 },
    idle: [
      { id: first, type: 'data', uuid: id(1), size: 10, received: 0 },
      { id: second, uuid: id(2) },
    ],
  });
  t.like(await usageOf(storage), { bytes: 0, open_uploads: 2, reserved_bytes: 30 });
  await t.notThrowsAsync(begin(storage, 4, 5, BOB));
  await finish(storage, first, 10);
  const third = await begin(storage, 3, 5, ALICE);
  await refused(t, begin(storage, 5, 5, ALICE), 'quota_exceeded');
  await storage.api.deleteUpload({ params: { upload: third }, headers }, ALICE);
  await t.notThrowsAsync(begin(storage, 5, 5, ALICE));
});

testOnEngines('an owner announces so many bytes: ten of the largest uploads', async (t, open) => {
  await using storage = await open({ maxUploadBytes: 10, openUploads: 0 });
  for (let n = 0; n < 10; n++) await begin(storage, n, 10, ALICE);
  await refused(t, begin(storage, 10, 1, ALICE), 'quota_exceeded', /at most 100 announced bytes, and 1 more/);
  await using other = await open({ openUploadBytes: 25 });
  await begin(other, 1, 20, ALICE);
  await refused(t, begin(other, 2, 6, ALICE), 'quota_exceeded', /at most 25 announced bytes, and 6 more/);
  await t.notThrowsAsync(begin(other, 2, 5, ALICE));
});

testOnEngines('uploads that begin at once do not pass the bound together', async (t, open) => {
  await using storage = await open({ openUploads: 3 });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, async (_, n) => await begin(storage, n, 1, ALICE)),
  );
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 3);
  t.true(
    outcomes.every((one) => one.status === 'fulfilled' || isPlatformError(one.reason, 'quota_exceeded')),
  );
  t.is((await usageOf(storage))?.open_uploads, 3);
});

testOnEngines('callers without a name share a bound', async (t, open) => {
  await using storage = await open({ openUploads: 1 });
  await begin(storage, 1, 1);
  await refused(t, begin(storage, 2, 1), 'quota_exceeded', /Callers without a name have 1 resumable/);
});
