import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { withParts } from '@morpheo/real-parts';
import { hasOtherServers, sharedVersitygw } from '@morpheo/service/buckets/testing';
import ava from 'ava';
import { refused } from '../../testing/expect.ts';
import { openTestBucket, sharedMinio, type TestBucket, minioTest as test } from '../../testing/minio.ts';
import { inPieces, sha256, testBlobStore } from '../conformance/index.ts';
import { putBlob } from '../index.ts';

const MIB = 1024 ** 2;
const minio = sharedMinio();
const open = async (extra = {}) => await openTestBucket(await minio(), extra);

async function keysOf({ server, options: { bucket: Bucket } }: TestBucket): Promise<string[]> {
  const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket }));
  return Contents.map(({ Key = '' }) => Key);
}

async function putDirectly({ server, options: { bucket: Bucket } }: TestBucket, Key: string, Body: string) {
  await server.client.send(new PutObjectCommand({ Bucket, Key, Body }));
}

testBlobStore('s3', async () => await open({ links: { seconds: 60 } }), test);

/** The contract is kept on another server, too, which `make soak` shows. */
if (hasOtherServers) {
  const versitygw = sharedVersitygw();
  const openOther = async () => await openTestBucket(await versitygw(), { links: { seconds: 60 } });
  testBlobStore('s3 of VersityGW', openOther, withParts(ava, 'versitygw'));
}

test('blobs of any number of parts come back byte for byte', async (t) => {
  await using under = await open({ tuning: { partBytes: 5 * MIB } });
  const { store } = under;
  const bytes = randomBytes(15 * MIB + 1);
  for (const size of [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, bytes.byteLength]) {
    const some = bytes.subarray(0, size);
    for (const digest of [undefined, sha256(some)]) {
      const blob = await putBlob(store, inPieces(some, 700_001), { digest });
      t.deepEqual(blob, { digest: sha256(some), size });
      t.true((await buffer(await store.get(blob.digest))).equals(some), `${size}`);
      t.true(await store.remove(blob.digest));
    }
  }
  t.deepEqual(await keysOf(under), []);
});

test('a large blob that is not what was promised leaves nothing', async (t) => {
  await using under = await open({ tuning: { partBytes: 5 * MIB } });
  const bytes = randomBytes(12 * MIB);
  const other = 'a'.repeat(64);
  await refused(t, putBlob(under.store, inPieces(bytes), { digest: other }), 'digest_mismatch');
  await refused(t, putBlob(under.store, inPieces(bytes), { size: 1 }), 'digest_mismatch');
  await refused(t, putBlob(under.store, inPieces(bytes), { limit: 11 * MIB }), 'too_large');
  t.deepEqual(await keysOf(under), []);
  t.deepEqual(await under.store.sweep(0), { files: 0, bytes: 0 });
});

test('a server copies a staged blob in parts', async (t) => {
  await using under = await open({ tuning: { partBytes: 5 * MIB, copyBytes: 5 * MIB } });
  const bytes = randomBytes(21 * MIB);
  const { digest } = await putBlob(under.store, inPieces(bytes));
  t.true((await buffer(await under.store.get(digest))).equals(bytes));
  t.deepEqual(await keysOf(under), [`sha256/${digest}`]);
});

test('a server that knows neither sums nor copies in parts will do', async (t) => {
  const tuning = { partBytes: 5 * MIB, copyBytes: 5 * MIB };
  await using under = await open({ tuning, checksums: 'when-required', partCopies: false });
  const bytes = randomBytes(11 * MIB);
  for (const some of [bytes, bytes.subarray(0, 1000)]) {
    const { digest } = await putBlob(under.store, inPieces(some));
    t.true((await buffer(await under.store.get(digest))).equals(some));
  }
});

test('what is there already is not sent again', async (t) => {
  await using under = await open();
  const { digest } = await putBlob(under.store, inPieces(Buffer.from('again')));
  await putBlob(under.store, inPieces(Buffer.from('again')));
  t.deepEqual(await keysOf(under), [`sha256/${digest}`, `stored/${digest}`]);
  t.deepEqual(await under.store.sweep(0), { files: 0, bytes: 0 });
  t.deepEqual(await keysOf(under), [`sha256/${digest}`]);
});

test('an object that was cut short is not served as good, and is mended', async (t) => {
  await using under = await open();
  const bytes = randomBytes(10_000);
  const digest = sha256(bytes);
  await putDirectly(under, `sha256/${digest}`, 'short');
  await refused(t, under.store.get(digest, { start: 0, end: 9_999 }), 'internal', /damaged/);
  await refused(t, under.store.get(digest, { start: 9_000, end: 9_999 }), 'internal', /damaged/);
  await putBlob(under.store, inPieces(bytes));
  t.true((await buffer(await under.store.get(digest))).equals(bytes));
});

test('stores of one bucket do not see one another', async (t) => {
  await using under = await open({ prefix: '/one/' });
  await using other = await openTestBucket(under.server, { bucket: under.options.bucket, prefix: 'two' });
  const { digest } = await putBlob(under.store, inPieces(Buffer.from('x')));
  t.is(await other.store.stat(digest), null);
  t.deepEqual(await Array.fromAsync(other.store.list()), []);
  t.deepEqual(await keysOf(under), [`one/sha256/${digest}`]);
});

test('all blobs are listed, and nothing else [B22]', async (t) => {
  await using under = await open();
  const digests = Array.from({ length: 1_100 }, (_, index) => sha256(Buffer.from(`${index}`)));
  const marked = digests.slice(0, 3);
  const keys = [...digests.map((name) => `sha256/${name}`), ...marked.map((name) => `stored/${name}`)];
  const left = [...keys, 'sha256/README', 'else'].values();
  const putRest = async () => {
    for (const key of left) await putDirectly(under, key, 'x');
  };
  await Promise.all(Array.from({ length: 16 }, putRest));
  const listed = await Array.fromAsync(under.store.list());
  t.deepEqual(
    listed.map(({ digest }) => digest),
    digests.toSorted((a, b) => (a < b ? -1 : 1)),
  );
});

test('what a dead process left is swept by age [B25]', async (t) => {
  await using under = await open({ tuning: { partBytes: 5 * MIB, partsAtOnce: 1 } });
  await using heir = await openTestBucket(under.server, { bucket: under.options.bucket });
  const abort = new AbortController();
  const bytes = randomBytes(11 * MIB);
  let young: unknown;
  let swept: unknown;
  async function* source() {
    yield bytes;
    young = await heir.store.sweep(60_000);
    swept = await heir.store.sweep(0);
    abort.abort(new Error('dead'));
    yield bytes;
  }
  await t.throwsAsync(putBlob(under.store, source(), { signal: abort.signal }), { message: 'dead' });
  t.deepEqual(young, { files: 0, bytes: 0 });
  t.deepEqual(swept, { files: 1, bytes: 10 * MIB });
  t.deepEqual(await keysOf(under), []);
});

test('a staged blob that nobody copied is swept', async (t) => {
  await using under = await open();
  await putDirectly(under, 'tmp/5c1f', 'staged');
  await putDirectly(under, 'tmp/5c1f.upload', '{"key":"tmp/5c1f","id":"gone"}');
  await putDirectly(under, 'tmp/odd.upload', 'no record');
  t.deepEqual(await under.store.sweep(0), { files: 1, bytes: 6 });
  t.deepEqual(await keysOf(under), []);
});

test('a blob that is read slowly is removed later, and the refusal comes in bounded time [B21]', async (t) => {
  await using under = await open();
  const { bucket } = under.options;
  await using hasty = await openTestBucket(under.server, { bucket, tuning: { answerMs: 5_000 } });
  const bytes = randomBytes(32 * MIB);
  const { digest } = await putBlob(under.store, inPieces(bytes));
  const reader = await under.store.get(digest);
  // MinIO locks what is being read; fewer bytes would fit into the connection's memory, and not keep it waiting.
  const startedAt = performance.now();
  await refused(t, hasty.store.remove(digest), 'unavailable', /does not answer/);
  const tookMs = performance.now() - startedAt;
  t.true(tookMs < 30_000, `${tookMs} ms`);
  t.is((await under.store.stat(digest))?.size, bytes.byteLength, 'it is kept');
  t.true((await buffer(reader)).equals(bytes));
  t.true(await under.store.remove(digest));
});
