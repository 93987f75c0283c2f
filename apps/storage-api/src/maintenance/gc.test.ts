import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPlatformError, TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import { randomFrom, withParts } from '@morpheo/real-parts';
import { openDatabase } from '@morpheo/service/database';
import { sharedPostgres } from '@morpheo/service/database/testing';
import { silentLog } from '@morpheo/service/log';
import ava, { type ExecutionContext } from 'ava';
import { inPieces } from '../blobs/conformance/index.ts';
import { type BlobStore, putBlob } from '../blobs/index.ts';
import { openS3BlobStore } from '../blobs/s3/store.ts';
import { type StorageDatabase, type StorageSchema, storageMigrations } from '../metadata/schema.ts';
import { encoded } from '../resumable/testing.ts';
import { createStorage, type Storage } from '../storage.ts';
import { bucketOptions, minioTest, sharedMinio } from '../testing/minio.ts';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256, sorted } from '../testing/requests.ts';
import { totalOf } from './gc.ts';
import { reconcile } from './verify.ts';

const OPS = Number(process.env.OPS ?? 1000);
/** So short that much expires while others publish it, or go on with it. */
const BRIEF = { stagedMaxAgeMs: 200, uploadExpiryMs: 200 };

type Call = NonNullable<Parameters<Storage['api']['usage']>[1]>;

const postgres = sharedPostgres(ava);
const minio = sharedMinio();

/** Begins a resumable upload, or sends the next part of one; `begun` are the ids of those that may go on. */
async function goOn({ api }: Storage, begun: string[], bytes: string, random: () => number, call: Call) {
  const version = { 'tus-resumable': TUS_VERSION };
  if (begun.length < 4) {
    const whole = `${bytes} in parts`;
    const told = encoded({ type: 'data', uuid: id(Math.floor(random() * 12)), sha256: sha256(whole) });
    const headers = { ...version, 'upload-length': whole.length, 'upload-metadata': told };
    const { headers: answer } = await api.createUpload({ headers }, call);
    begun.push(`${answer.location?.split('/')[1] ?? ''} ${whole}`);
    return;
  }
  const [upload = '', ...words] = (begun[Math.floor(random() * begun.length)] ?? '').split(' ');
  const whole = words.join(' ');
  try {
    const { headers } = await api.headUpload({ params: { upload }, headers: version }, call);
    const at = Number(headers['upload-offset']);
    const part = Buffer.from(whole).subarray(at, at + Math.ceil(random() * whole.length));
    const body = bodyOf(part, { contentType: TUS_CHUNK_TYPE }, 100);
    await api.patchUpload({ params: { upload }, headers: { ...version, 'upload-offset': at }, body }, call);
    if (at + part.length < whole.length) return;
  } catch (error) {
    if (isPlatformError(error, 'locked', 'wrong_state')) return;
    if (!isPlatformError(error, 'conflict', 'not_found')) throw error;
  }
  const index = begun.indexOf(`${upload} ${whole}`);
  if (index >= 0) begun.splice(index, 1);
}

/** Does one thing, whichever comes; that it is refused by a rule is an answer as well. */
async function act(storage: Storage, random: () => number, begun: string[]): Promise<void> {
  const { api, collect } = storage;
  const pick = (most: number) => Math.floor(random() * most);
  // Few different ones, so that the same bytes often come while they go.
  const bytes = `${'blob '.repeat(1 + pick(4) * 100)}${pick(3)}`;
  const [uuid, order, attempt] = [id(pick(12)), id(100 + pick(6)), 1 + pick(2)];
  const call = { principal: { name: `owner-${pick(3)}`, roles: ['admin' as const] } };
  const upload = () =>
    api.upload({ params: { type: 'data' }, query: { uuid }, body: bodyOf(bytes, {}, 100) }, call);
  const query = { type: 'prediction' as const, uuid: id(1000 + pick(1000)), owner: `owner-${pick(3)}` };
  const acts = [
    upload,
    upload,
    () => api.remove({ params: { type: 'data', uuid } }),
    () => api.stageResult({ params: { order, attempt }, query, body: bodyOf(bytes, {}, 100) }, call),
    () => api.publishResult({ params: { order, attempt }, query: {} }),
    () => api.discardResults({ params: { order }, query: {} }),
    () => api.remove({ params: { type: 'prediction', uuid: query.uuid } }),
    () => collect(),
    () => goOn(storage, begun, bytes, random, call),
    () => goOn(storage, begun, bytes, random, call),
    () => goOn(storage, begun, bytes, random, call),
  ];
  try {
    await acts[pick(acts.length)]?.();
  } catch (error) {
    if (!isPlatformError(error, 'conflict', 'not_found', 'stale_attempt')) throw error;
  }
}

/** Does `count` things, sixteen at a time, while others collect, expire and scrub without end. */
async function churn(storages: readonly Storage[], count: number, seed: number): Promise<void> {
  const random = randomFrom(seed).next;
  const storageOf = (index: number) => storages[index % storages.length] as Storage;
  const begun: string[] = [];
  let left = count;
  const hands = Array.from({ length: 16 }, async (_, index) => {
    while (left-- > 0) await act(storageOf(index), random, begun);
  });
  let over = false;
  const collectors = storages.map(async (storage) => {
    while (!over) {
      await storage.sweep();
      const { damaged } = await storage.scrub({ rate: 1e9 });
      if (damaged > 0) throw new Error(`${damaged} blobs are lost or damaged`);
    }
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
  const told = await storage.collect({ dryRun: true });
  t.deepEqual(await storage.collect(), told);
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
  for (const orphan of ['an old orphan', 'a young one']) await putBlob(blobs, inPieces(Buffer.from(orphan)));
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
  t.timeout(300_000 + OPS * 1000);
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  await using storage = await openTestStorage({ orphanGraceMs: 0, ...BRIEF });
  await churn([storage], OPS, seed);
  // With a storage by which nothing expires while it is looked at.
  const { database, blobs, folder } = storage;
  const settings = { orphanGraceMs: 0 };
  const heir = createStorage({ database, blobs, log: silentLog, settings, uploadsFolder: folder });
  await settled(t, heir, database, blobs);
  // What was not gone on with expires; the clock of the database has to go on for that.
  const uploads = () => readdir(join(storage.folder, 'uploads'));
  do await storage.sweep();
  while ((await uploads()).length > 0);
  t.deepEqual(await uploads(), []);
});

const onBoth = withParts(minioTest, 'postgres');

onBoth('two services on PostgreSQL and a bucket lose nothing and leave nothing', async (t) => {
  t.timeout(300_000 + OPS * 1000);
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const server = await postgres();
  await using stack = new AsyncDisposableStack();
  const address = stack.use(await server.createDatabase());
  const options = await bucketOptions(await minio());
  const folder = await mkdtemp(join(tmpdir(), 'storage-gc-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const open = async (name: string, orphanGraceMs: number) => {
    const database = stack.use(
      await openDatabase<StorageSchema>(
        { engine: 'postgres', address, poolSize: 8 },
        { owner: 'storage_api', migrations: storageMigrations },
      ),
    );
    const blobs = stack.use(await openS3BlobStore({ ...options, shared: true }));
    // Nothing expires while the heir looks at what is left.
    const settings = { orphanGraceMs, ...(name === 'heir' ? {} : BRIEF) };
    const storage = createStorage({
      database,
      blobs,
      log: silentLog,
      settings,
      uploadsFolder: join(folder, name),
    });
    return { database, blobs, storage };
  };
  // No upload takes as long as the grace: of one that did, a sweep of the other service would take the bytes away.
  const [one, two] = [await open('one', 30_000), await open('two', 30_000)];
  await churn([one.storage, two.storage], OPS, seed);
  const heir = await open('heir', 0);
  await settled(t, heir.storage, heir.database, heir.blobs);
});
