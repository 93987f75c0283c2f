import { randomBytes } from 'node:crypto';
import { withParts } from '@morpheo/real-parts';
import { onEngines } from '@morpheo/service/database/testing';
import ava, { type ExecutionContext } from 'ava';
import type { StorageSettings } from '../config/settings.ts';
import { type StorageSchema, storageMigrations } from '../metadata/schema.ts';
import { encoded } from '../resumable/testing.ts';
import { allThatIsKept } from '../testing/all-that-is-kept.ts';
import { refused } from '../testing/expect.ts';
import { openTestBucket, sharedMinio } from '../testing/minio.ts';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id, sha256, sorted } from '../testing/requests.ts';

const ALGO = id(1);
const MODEL = id(2);
const ORDER = id(100);
/** More than one part of a multipart upload to a bucket. */
const LARGE = 12 * 1024 * 1024;

type Open = (settings?: Partial<StorageSettings>) => Promise<TestStorage>;

const options = { owner: 'storage_api', migrations: storageMigrations };
const onLocal = onEngines<StorageSchema>(ava, options);
const minio = sharedMinio();
const onMinio = onEngines<StorageSchema>(withParts(ava, 'minio'), options);

/** Registers a test for each engine with each kind of blob store that the machine has. */
function testEverywhere(title: string, run: (t: ExecutionContext, open: Open) => Promise<void>): void {
  onLocal(title, async (t, engine) => {
    await using place = await engine.place();
    await run(
      t,
      async (settings) => await withAlgo(await openTestStorage(settings, undefined, await place.open())),
    );
  });
  onMinio(`${title}, in a bucket`, async (t, engine) => {
    await using place = await engine.place();
    await using bucket = await openTestBucket(await minio());
    const wrap = () => bucket.store;
    await run(
      t,
      async (settings) => await withAlgo(await openTestStorage(settings, wrap, await place.open())),
    );
  });
}

async function withAlgo(storage: TestStorage): Promise<TestStorage> {
  const body = formOf(['uuid', ALGO], ['name', 'fast'], ['size', '1'], ['blob', 'algo']);
  await storage.api.upload({ params: { type: 'algo' }, query: {}, body });
  return storage;
}

const stage = async ({ api }: TestStorage, attempt: number, body = bodyOf(`by attempt ${attempt}`)) =>
  await api.stageResult({
    params: { order: ORDER, attempt },
    query: { type: 'model', uuid: MODEL, algo: ALGO },
    body,
  });
const publish = async ({ api }: TestStorage, attempt: number) =>
  await api.publishResult({ params: { order: ORDER, attempt }, query: {} });
const discard = async ({ api }: TestStorage) =>
  await api.discardResults({ params: { order: ORDER }, query: {} });

testEverywhere('Once a later attempt has staged, an earlier one changes nothing', async (t, open) => {
  await using storage = await open();
  await stage(storage, 1);
  await stage(storage, 3);
  const before = await allThatIsKept(storage);
  for (const attempt of [1, 2]) {
    await refused(t, stage(storage, attempt), 'stale_attempt', /attempt 3 has staged/);
    t.deepEqual(await allThatIsKept(storage), before);
  }
  await stage(storage, 3);
  await publish(storage, 3);
  t.deepEqual(
    (await allThatIsKept(storage)).blobs.map((blob) => blob.slice(0, 64)),
    sorted([sha256('algo'), sha256('by attempt 3')]),
  );
});

testEverywhere('Once a result is published, late calls of any attempt change nothing', async (t, open) => {
  await using storage = await open();
  await stage(storage, 2);
  const made = await publish(storage, 2);
  const before = await allThatIsKept(storage);
  for (const attempt of [1, 2, 3]) {
    await refused(t, stage(storage, attempt), 'stale_attempt', /the result of attempt 2 is published/);
  }
  await refused(t, publish(storage, 1), 'conflict');
  t.deepEqual(await publish(storage, 2), made);
  await discard(storage);
  t.deepEqual(await allThatIsKept(storage), before);
});

testEverywhere('An upload that was under way when it was overtaken leaves nothing', async (t, open) => {
  await using storage = await open();
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  async function* slowly() {
    yield randomBytes(LARGE);
    begun.resolve();
    await gate.promise;
    yield randomBytes(LARGE);
  }
  const late = stage(storage, 1, { body: slowly() });
  await begun.promise;
  await stage(storage, 2);
  await publish(storage, 2);
  const before = await allThatIsKept(storage);
  gate.resolve();
  await refused(t, late, 'stale_attempt');
  const after = await allThatIsKept(storage);
  t.deepEqual({ ...after, unfinished: before.unfinished }, before);
  t.deepEqual(after.unfinished, { uploads: [], halfWritten: 0 });
});

testEverywhere('What storage cannot know to be late shows nowhere, and is collected', async (t, open) => {
  await using storage = await open({ stagedMaxAgeMs: -1 });
  const before = await allThatIsKept(storage);
  await stage(storage, 1);
  await discard(storage);
  t.deepEqual(await allThatIsKept(storage), before);
  await stage(storage, 1);
  const place = { params: { type: 'model', uuid: MODEL } } as const;
  await refused(t, storage.api.get(place), 'not_found');
  await refused(t, storage.api.getBlob({ ...place, headers: {} }), 'not_found');
  await storage.sweep();
  t.deepEqual(await allThatIsKept(storage), before);
});

testEverywhere(
  'A late resumable or plain upload under the id of a result changes nothing',
  async (t, open) => {
    await using storage = await open();
    const { api } = storage;
    const { headers } = await api.createUpload({
      headers: {
        'tus-resumable': '1.0.0',
        'upload-length': 4,
        'upload-metadata': encoded({ type: 'model', uuid: MODEL, algo: ALGO }),
      },
    });
    const upload = headers.location?.split('/').at(-1) ?? '';
    const patch = async (offset: number, bytes: string) =>
      await api.patchUpload({
        params: { upload },
        headers: { 'tus-resumable': '1.0.0', 'upload-offset': offset },
        body: bodyOf(bytes, { contentType: 'application/offset+octet-stream' }),
      });
    await patch(0, 'la');
    await stage(storage, 2);
    await publish(storage, 2);
    const { tables, blobs } = await allThatIsKept(storage);
    await refused(t, patch(2, 'te'), 'conflict');
    await refused(t, patch(2, 'te'), 'not_found');
    const before = { tables: { ...tables, uploads: [] }, blobs, unfinished: { uploads: [], halfWritten: 0 } };
    t.deepEqual(await allThatIsKept(storage), before);
    const query = { uuid: MODEL, algo: ALGO };
    await refused(t, api.uploadModel({ query, body: bodyOf('late') }), 'conflict');
    t.deepEqual(await allThatIsKept(storage), before);
  },
);
