import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { ExecutionContext } from 'ava';
import { inPieces, sha256 } from '../blobs/conformance/index.ts';
import { type BlobStore, openLocalBlobStore, putBlob } from '../blobs/index.ts';
import { refused } from '../testing/expect.ts';
import { openTestBucket, sharedMinio, type TestBucket, minioTest as test } from '../testing/minio.ts';
import { runMove } from './run.ts';

const minio = sharedMinio();

interface Stores {
  readonly folder: string;
  readonly local: BlobStore;
  readonly bucket: TestBucket;
  /** Runs the command; its exit code and what it printed. */
  move(...argv: string[]): Promise<{ readonly code: number; readonly text: string }>;
  fileOf(digest: string): string;
}

async function openStores(t: ExecutionContext): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'move-blobs-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const bucket = await openTestBucket(await minio());
  t.teardown(() => bucket[Symbol.asyncDispose]());
  const { options, server } = bucket;
  const env = {
    MORPHEO_STORAGE_DATA_DIR: folder,
    MORPHEO_STORAGE_S3_BUCKET: options.bucket,
    MORPHEO_STORAGE_S3_ENDPOINT: server.endpoint,
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
  };
  return {
    folder,
    bucket,
    local: await openLocalBlobStore({ folder }),
    move: async (...argv) => {
      const printed: string[] = [];
      const output = { write: (text: string) => printed.push(text) };
      return { code: await runMove({ argv, env, output }), text: printed.join('') };
    },
    fileOf: (digest) => join(folder, 'blobs', digest.slice(0, 2), digest),
  };
}

async function fill(store: BlobStore, count: number): Promise<Map<string, Buffer>> {
  const all = Array.from({ length: count }, (_, index) => randomBytes(index * 1_000 + 1));
  for (const bytes of [...all, randomBytes(9_000_000)]) await putBlob(store, inPieces(bytes));
  const found = await Array.fromAsync(store.list());
  const read = async ({ digest }: { digest: string }) =>
    [digest, await buffer(await store.get(digest))] as const;
  return new Map(await Promise.all(found.map(read)));
}

async function hasAll(t: ExecutionContext, store: BlobStore, blobs: Map<string, Buffer>): Promise<void> {
  t.is((await Array.fromAsync(store.list())).length, blobs.size);
  for (const [digest, bytes] of blobs) t.true((await buffer(await store.get(digest))).equals(bytes));
}

const THERE = ['--from', 'local', '--to', 's3'];
const BACK = ['--from', 's3', '--to', 'local'];

test('blobs move to a bucket and back', async (t) => {
  const { local, bucket, move } = await openStores(t);
  const blobs = await fill(local, 20);
  const there = await move(...THERE, '--remove-source');
  t.is(there.code, 0, there.text);
  t.regex(
    there.text,
    /^21 blobs \(8\.\d MiB\) copied from local to s3, 0 were there, 21 removed from local, 0 failed/m,
  );
  await hasAll(t, bucket.store, blobs);
  t.deepEqual(await Array.fromAsync(local.list()), []);
  const back = await move(...BACK);
  t.is(back.code, 0, back.text);
  await hasAll(t, local, blobs);
  await hasAll(t, bucket.store, blobs);
});

test('a second move copies nothing again', async (t) => {
  const { local, move } = await openStores(t);
  await fill(local, 5);
  await move(...THERE);
  const again = await move(...THERE, '--verify');
  t.is(again.code, 0);
  t.regex(again.text, /^0 blobs \(0\.0 MiB\) copied .*, 6 were there, 0 failed/m);
});

test('a dry run changes nothing', async (t) => {
  const { local, bucket, move } = await openStores(t);
  const blobs = await fill(local, 3);
  const dry = await move(...THERE, '--dry-run', '--remove-source');
  t.regex(
    dry.text,
    /^4 blobs \(.*\) would be copied from local to s3, 0 were there, 4 would be removed from local/m,
  );
  t.deepEqual(await Array.fromAsync(bucket.store.list()), []);
  await hasAll(t, local, blobs);
});

test('a blob with a flipped bit is refused, and the others move', async (t) => {
  const { local, bucket, move, fileOf } = await openStores(t);
  const blobs = await fill(local, 4);
  for (const digest of [...blobs.keys()].slice(0, 2)) {
    const bytes = await readFile(fileOf(digest));
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    await writeFile(fileOf(digest), bytes);
  }
  const moved = await move(...THERE, '--remove-source');
  t.is(moved.code, 1);
  t.regex(moved.text, /was not moved: The blob should have the SHA-256/);
  t.regex(moved.text, /^3 blobs .* 3 removed from local, 2 failed/m);
  t.is((await Array.fromAsync(bucket.store.list())).length, 3);
  t.is((await Array.fromAsync(local.list())).length, 2);
});

test('a damaged copy keeps its source, whichever way it goes', async (t) => {
  const { local, bucket, move } = await openStores(t);
  const bytes = Buffer.from('once good');
  const digest = sha256(bytes);
  const damaged = { Bucket: bucket.options.bucket, Key: `sha256/${digest}`, Body: 'once bad!' };
  await bucket.server.client.send(new PutObjectCommand(damaged));
  await putBlob(local, inPieces(bytes));
  const there = await move(...THERE, '--remove-source');
  t.is(there.code, 1);
  t.regex(there.text, /was not moved: The copy has the SHA-256/);
  t.not(await local.stat(digest), null);
  await local.remove(digest);
  const back = await move(...BACK, '--remove-source');
  t.is(back.code, 1);
  t.is(await local.stat(digest), null);
  t.not(await bucket.store.stat(digest), null);
});

test('a move that cannot begin says why', async (t) => {
  const { move } = await openStores(t);
  await refused(
    t,
    move('--from', 'local', '--to', 'local'),
    'invalid_request',
    /one of them must be a bucket/,
  );
  await refused(t, move('--from', 's3', '--to', 'gc'), 'invalid_request', /are both buckets/);
  await refused(
    t,
    move(...THERE, '--s3-bucket', `not-there-${randomUUID()}`),
    'unavailable',
    /no such bucket/,
  );
  t.regex((await move('--help')).text, /--remove-source/);
});
