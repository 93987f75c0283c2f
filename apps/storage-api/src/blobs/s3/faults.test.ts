import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { startMinio } from '@morpheo/real-parts';
import { refused } from '../../testing/expect.ts';
import { openTestBucket, minioTest as test } from '../../testing/minio.ts';
import { inPieces, sha256 } from '../conformance/index.ts';
import { putBlob } from '../index.ts';

const MIB = 1024 ** 2;

test('a server killed in the middle of an upload leaves nothing visible', async (t) => {
  await using server = await startMinio();
  await using under = await openTestBucket(server, { tuning: { partBytes: 5 * MIB, partsAtOnce: 1 } });
  const bytes = randomBytes(24 * MIB);
  for (const digest of [undefined, sha256(bytes)]) {
    async function* source() {
      yield bytes.subarray(0, 12 * MIB);
      await server.kill();
      yield bytes.subarray(12 * MIB);
    }
    await refused(
      t,
      putBlob(under.store, source(), { digest }),
      'unavailable',
      /does not answer.*ECONNREFUSED/,
    );
    await server.start();
    t.deepEqual(await Array.fromAsync(under.store.list()), []);
    const swept = await under.store.sweep(0);
    t.is(swept.files, 1);
    t.true(swept.bytes >= 10 * MIB);
    t.deepEqual(await under.store.sweep(0), { files: 0, bytes: 0 });
  }
});

test('a server that starts again takes uploads again', async (t) => {
  await using server = await startMinio();
  await using under = await openTestBucket(server);
  await server.kill();
  await refused(t, under.store.ping(), 'unavailable', /does not answer/);
  await refused(t, putBlob(under.store, inPieces(Buffer.from('x'))), 'unavailable');
  await server.start();
  await t.notThrowsAsync(under.store.ping());
  const { digest } = await putBlob(under.store, inPieces(Buffer.from('x')));
  t.is((await under.store.stat(digest))?.size, 1);
});

test('a frozen server is given up in bounded time', async (t) => {
  await using server = await startMinio();
  await using patient = await openTestBucket(server);
  const { digest } = await putBlob(patient.store, inPieces(randomBytes(32 * MIB)));
  const tuning = { partBytes: 5 * MIB, answerMs: 4_000, silenceMs: 200 };
  await using under = await openTestBucket(server, { bucket: patient.options.bucket, tuning });
  const stream = await under.store.get(digest);
  await server.freeze();
  try {
    await Promise.all([
      refused(t, under.store.stat(digest), 'unavailable', /does not answer/),
      refused(t, under.store.ping(), 'unavailable', /does not answer/),
      refused(t, putBlob(under.store, inPieces(Buffer.from('y'))), 'unavailable', /does not answer/),
      refused(t, buffer(stream), 'unavailable', /fell silent for 200 ms/),
    ]);
  } finally {
    await server.thaw();
  }
});

test('an upload may be as slow as its source', async (t) => {
  await using server = await startMinio();
  await using under = await openTestBucket(server, { tuning: { partBytes: 5 * MIB, answerMs: 10_000 } });
  const bytes = randomBytes(11 * MIB);
  async function* source() {
    yield bytes.subarray(0, 6 * MIB);
    // Slower than any answer may be.
    await pause(11_000);
    yield bytes.subarray(6 * MIB);
  }
  t.is((await putBlob(under.store, source())).digest, sha256(bytes));
});

test('a download may be as slow as its reader', async (t) => {
  await using server = await startMinio();
  await using under = await openTestBucket(server, { tuning: { answerMs: 10_000, silenceMs: 10_000 } });
  const bytes = randomBytes(24 * MIB);
  const { digest } = await putBlob(under.store, inPieces(bytes));
  const stream = await under.store.get(digest);
  await pause(11_000);
  t.true((await buffer(stream)).equals(bytes));
});

test('a download that is cut says so', async (t) => {
  await using server = await startMinio();
  await using under = await openTestBucket(server);
  const { digest } = await putBlob(under.store, inPieces(randomBytes(32 * MIB)));
  const stream = await under.store.get(digest);
  await server.kill();
  await refused(t, buffer(stream), 'unavailable');
});

test('an abort ends an upload that the server keeps waiting', async (t) => {
  await using server = await startMinio();
  await using under = await openTestBucket(server, { tuning: { partBytes: 5 * MIB, answerMs: 4_000 } });
  const abort = new AbortController();
  async function* source() {
    yield randomBytes(12 * MIB);
    await server.freeze();
    setImmediate(() => abort.abort(new Error('given up')));
    yield randomBytes(24 * MIB);
  }
  try {
    await t.throwsAsync(putBlob(under.store, source(), { signal: abort.signal }), { message: 'given up' });
  } finally {
    await server.thaw();
  }
});
