import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlatformError } from '@morpheo/common';
import { withParts } from '@morpheo/real-parts';
import { openDatabase } from '@morpheo/service/database';
import { sharedPostgres } from '@morpheo/service/database/testing';
import { silentLog } from '@morpheo/service/log';
import ava, { type ExecutionContext } from 'ava';
import { inPieces } from '../blob-store/conformance.ts';
import type { BlobStore } from '../blob-store/index.ts';
import { openS3BlobStore } from '../blob-store/s3/store.ts';
import { type StorageDatabase, type StorageSchema, storageMigrations } from '../schema.ts';
import { createStorage, type Storage } from '../storage.ts';
import { bucketOptions, minioTest, sharedMinio } from '../testing/minio.ts';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256, sorted } from '../testing/requests.ts';
import { totalOf } from './gc.ts';
import { reconcile } from './verify.ts';

const postgres = sharedPostgres(ava);
const minio = sharedMinio();

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function numbersOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Does one thing, whichever comes; that it is refused by a rule is an answer as well. */
async function act({ api, collect }: Storage, random: () => number): Promise<void> {
  const pick = (most: number) => Math.floor(random() * most);
  const bytes = `${'blob '.repeat(pick(400))}${pick(8)}`;
  const [uuid, order, attempt] = [id(pick(12)), id(100 + pick(6)), 1 + pick(2)];
  const call = { principal: { name: `owner-${pick(3)}`, roles: ['uploader' as const] } };
  const upload = () =>
    api.upload({ params: { type: 'data' }, query: { uuid }, body: bodyOf(bytes, {}, 100) }, call);
  const query = { type: 'prediction' as const, uuid: id(1000 + pick(1000)) };
  const acts = [
    upload,
    upload,
    () => api.remove({ params: { type: 'data', uuid } }),
    () => api.stageResult({ params: { order, attempt }, query, body: bodyOf(bytes, {}, 100) }, call),
    () => api.publishResult({ params: { order, attempt } }),
    () => api.discardResults({ params: { order } }),
    () => api.remove({ params: { type: 'prediction', uuid: query.uuid } }),
    () => collect(),
  ];
  try {
    await acts[pick(acts.length)]?.();
  } catch (error) {
    if (!isPlatformError(error, 'conflict', 'not_found')) throw error;
  }
}

/** Does `count` things, sixteen at a time, while others collect garbage without end. */
async function churn(storages: readonly Storage[], count: number, seed: number): Promise<void> {
  const random = numbersOf(seed);
  const storageOf = (index: number) => storages[index % storages.length] as Storage;
  let left = count;
  const hands = Array.from({ length: 16 }, async (_, index) => {
    while (left-- > 0) await act(storageOf(index), random);
  });
  let over = false;
  const collectors = storages.map(async (storage) => {
    while (!over) await storage.collect();
  });
  await Promise.all(hands).finally(() => {
    over = true;
  });
  await Promise.all(collectors);
}

/** Expects that every row has its bytes, nothing else is kept after two sweeps, and all figures agree to the byte. */
async function settled(
  t: ExecutionContext,
  storage: Storage,
  database: StorageDatabase,
  blobs: BlobStore,
): Promise<void> {
  const { read } = database;
  const live = await read
    .selectFrom('resources')
    .select(['sha256', 'size'])
    .unionAll(read.selectFrom('staged').select(['sha256', 'size']))
    .execute();
  for (const { sha256: digest, size } of live) t.is((await blobs.stat(digest))?.size, size);
  await storage.collect();
  await storage.collect();
  t.is(totalOf(await storage.collect({ dryRun: true })).files, 0);
  const { recorded, listed, unrecorded, missing } = await reconcile(database, blobs);
  t.deepEqual(missing, []);
  t.deepEqual(unrecorded, { blobs: 0, bytes: 0 });
  t.deepEqual(listed, recorded);
  const distinct = new Map(live.map(({ sha256: digest, size }) => [digest, size]));
  const stored = [...distinct.values()].reduce((sum, size) => sum + size, 0);
  const usage = await storage.api.usage({});
  t.like(usage, { blobs: distinct.size, stored_bytes: stored });
  t.is(listed.bytes, stored);
  t.is(
    usage.bytes,
    live.reduce((sum, { size }) => sum + size, 0),
  );
  t.is(
    usage.owners.reduce((sum, { bytes }) => sum + bytes, 0),
    usage.bytes,
  );
  t.log(`${live.length} live things in ${listed.blobs} blobs of ${listed.bytes} bytes`);
}

async function makeOld({ folder }: TestStorage, path: string): Promise<void> {
  await utimes(join(folder, path), 1, 1);
}

ava('a dry run tells what is then removed, to the byte', async (t) => {
  await using storage = await openTestStorage({ orphanGraceMs: 60_000, stagedMaxAgeMs: 1 });
  const { api, blobs, folder, collect, database } = storage;
  await api.upload({ params: { type: 'data' }, query: { uuid: id(1) }, body: bodyOf('kept') });
  for (const orphan of ['an old orphan', 'a young one']) await blobs.put(inPieces(Buffer.from(orphan)));
  const digest = sha256('an old orphan');
  await makeOld(storage, `blobs/${digest.slice(0, 2)}/${digest}`);
  await writeFile(join(folder, 'staging', 'half'), 'half-written');
  await makeOld(storage, 'staging/half');
  for (const [attempt, bytes] of ['kept', 'expired'].entries()) {
    const query = { type: 'prediction', uuid: id(attempt) } as const;
    const params = { order: id(7), attempt: attempt + 1 };
    await api.stageResult({ params, query, body: bodyOf(bytes) });
  }
  await database.write((write) => write.updateTable('staged').set({ staged_at: 1 }).execute());
  const before = await storage.files();
  const told = await collect({ dryRun: true });
  t.deepEqual(await storage.files(), before);
  t.deepEqual(told, {
    halfWritten: { files: 1, bytes: 12 },
    orphans: { blobs: 1, bytes: 13 },
    expired: { blobs: 1, bytes: 7 },
  });
  t.deepEqual(await collect(), told);
  t.deepEqual(await storage.files(), sorted([sha256('kept'), sha256('a young one')]));
  t.is(totalOf(await collect({ dryRun: true })).files, 0);
});

ava('a thousand things at once with collectors lose nothing and leave nothing', async (t) => {
  t.timeout(120_000);
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  await using storage = await openTestStorage({ orphanGraceMs: 0 });
  await churn([storage], 1000, seed);
  await settled(t, storage, storage.database, storage.blobs);
});

const onBoth = withParts(minioTest, 'postgres');

onBoth('two services on PostgreSQL and a bucket lose nothing and leave nothing', async (t) => {
  t.timeout(180_000);
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const server = await postgres();
  await using stack = new AsyncDisposableStack();
  const address = stack.use(await server.createDatabase());
  const options = await bucketOptions(await minio());
  const open = async (orphanGraceMs: number) => {
    const database = stack.use(
      await openDatabase<StorageSchema>(
        { engine: 'postgres', address, poolSize: 8 },
        { owner: 'storage_api', migrations: storageMigrations },
      ),
    );
    const blobs = stack.use(await openS3BlobStore({ ...options, shared: true }));
    const settings = { orphanGraceMs };
    const storage = createStorage({
      database,
      blobs,
      log: silentLog,
      settings,
      uploadsFolder: '/nonexistent',
    });
    return { database, blobs, storage };
  };
  // No upload takes as long as the grace: of one that did, a sweep of the other service would take the bytes away.
  const [one, two] = [await open(30_000), await open(30_000)];
  await churn([one.storage, two.storage], 120, seed);
  const heir = await open(0);
  await settled(t, heir.storage, heir.database, heir.blobs);
});
