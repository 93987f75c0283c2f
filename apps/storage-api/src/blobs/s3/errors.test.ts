import { randomBytes, randomUUID } from 'node:crypto';
import { copyFile, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { DeleteBucketCommand } from '@aws-sdk/client-s3';
import { createAuthority, startMinio } from '@morpheo/real-parts';
import { answerError, startFakeS3 } from '@morpheo/service/buckets/testing';
import { Secret } from '@morpheo/service/config';
import { followPems } from '@morpheo/service/lifecycle';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { refused } from '../../testing/expect.ts';
import { bucketOptions, openTestBucket, sharedMinio, minioTest as test } from '../../testing/minio.ts';
import { inPieces } from '../conformance/index.ts';
import { putBlob } from '../index.ts';
import { openS3BlobStore } from './store.ts';

const minio = sharedMinio();

test('keys that are wrong are told, and never shown', async (t) => {
  const { credentials, ...options } = await bucketOptions(await minio());
  const secretAccessKey = new Secret('not-the-right-one');
  const { accessKeyId } = credentials;
  const wrong = openS3BlobStore({ ...options, credentials: { accessKeyId, secretAccessKey } });
  const error = await refused(
    t,
    wrong,
    'unavailable',
    /bucket-[\da-f-]+: it does not accept the keys: .*--s3-secret-key/,
  );
  const log = memoryLog();
  log.error({ error }, 'as it would be logged');
  for (const shown of [inspect(error, { depth: 9, showHidden: true }), JSON.stringify(log.entries)]) {
    t.false(shown.includes('not-the-right-one'));
  }
  const unknown = openS3BlobStore({ ...options, credentials: { accessKeyId: 'nobody', secretAccessKey } });
  await refused(t, unknown, 'unavailable', /InvalidAccessKeyId/);
});

test('a bucket that is not there is told, or made', async (t) => {
  const options = { ...(await bucketOptions(await minio())), bucket: `not-there-${randomUUID()}` };
  await refused(t, openS3BlobStore(options), 'unavailable', /no such bucket: .*--s3-create-bucket/);
  using store = await openS3BlobStore({ ...options, createBucket: true });
  await t.notThrowsAsync(store.ping());
  using again = await openS3BlobStore({ ...options, createBucket: true });
  await t.notThrowsAsync(again.ping());
});

test('a bucket that goes is told by a ping [B28]', async (t) => {
  const server = await minio();
  await using under = await openTestBucket(server);
  await under.store.ping();
  await server.client.send(new DeleteBucketCommand({ Bucket: under.options.bucket }));
  await refused(t, under.store.ping(), 'unavailable', /no such bucket/);
});

test('an address where nobody listens is told', async (t) => {
  const options = { ...(await bucketOptions(await minio())), endpoint: 'http://127.0.0.1:1' };
  await refused(t, openS3BlobStore(options), 'unavailable', /http:\/\/127\.0\.0\.1:1, .*ECONNREFUSED/);
  const nowhere = { ...options, endpoint: 'http://no-such-host.invalid' };
  await refused(t, openS3BlobStore(nowhere), 'unavailable', /does not answer: .*no-such-host/);
});

test('a certificate is trusted by its authority alone', async (t) => {
  await using server = await startMinio({ tls: true });
  const options = await bucketOptions(server);
  await refused(t, openS3BlobStore(options), 'unavailable', /no secure connection .*--s3-ca/);
  using store = await openS3BlobStore({ ...options, ca: await readFile(server.caFile ?? '', 'utf8') });
  const bytes = randomBytes(9_000_000);
  const { digest } = await putBlob(store, inPieces(bytes));
  t.true((await buffer(await store.get(digest))).equals(bytes));
  const plain = { ...options, endpoint: options.endpoint.replace('https', 'http') };
  await t.throwsAsync(openS3BlobStore(plain));
});

test('new connections trust the authority that its file names at the time', async (t) => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startMinio({ tls: true }));
  const authority = stack.use(await createAuthority());
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'authority-')));
  const next = await authority.certify('minio', 'IP:127.0.0.1');
  const served = server.caFile ?? '';
  const file = join(folder.path, 'ca.pem');
  await copyFile(served, file);
  const pems = await followPems('--s3-ca', { ca: file }, { log: memoryLog(), stack, everyMs: 1 });
  const options = await bucketOptions(server);
  const store = stack.use(await openS3BlobStore({ ...options, ca: () => pems.ca }));
  await store.ping();
  await server.kill();
  await writeFile(served, next.cert);
  await writeFile(join(dirname(served), 'private.key'), next.key);
  await server.start();
  await refused(t, store.ping(), 'unavailable', /no secure connection .*--s3-ca/);
  await writeFile(file, authority.ca);
  await eventually(t, async (t) => await t.notThrowsAsync(store.ping()));
});

const rooted = process.platform === 'linux' && process.getuid?.() === 0 ? test : test.skip;

rooted('a disk that is full is told as such [B6]', async (t) => {
  await using server = await startMinio({ diskBytes: 96 * 1024 ** 2 });
  await using under = await openTestBucket(server);
  const put = async () => await putBlob(under.store, inPieces(randomBytes(150 * 1024 ** 2)));
  let refusal = await t.throwsAsync(put);
  // A full MinIO at times forgets the upload itself, and then has only that to say.
  for (let tries = 1; tries < 6 && /NoSuchUpload/.test(refusal?.message ?? ''); tries += 1) {
    refusal = await t.throwsAsync(put);
  }
  await refused(t, Promise.reject(refusal), 'disk_full', /no room left/);
  t.deepEqual(await Array.fromAsync(under.store.list()), []);
  // MinIO gives room back in its own time.
  const putAgain = () => putBlob(under.store, inPieces(Buffer.from('small'))).catch(() => undefined);
  while ((await putAgain()) === undefined);
  t.is((await Array.fromAsync(under.store.list())).length, 1);
});

for (const [status, code, message] of [
  [403, 'AccessDenied', /may not do this: allow them to list, read, write and delete/],
  [301, 'PermanentRedirect', /another region: correct --s3-region/],
  [503, 'SlowDown', /busy or broken/],
  [500, 'Whatever', /busy or broken .*\(500, Whatever/],
  [
    501,
    'NotImplemented',
    /does not know a request that is needed: use another server, or try --s3-checksums/,
  ],
  [507, 'QuotaExceeded', /no room left/],
  [400, 'Whatever', /refuses a request \(400, Whatever/],
] as const) {
  ava(`the answer ${status} ${code} says what to do`, async (t) => {
    await using fake = await startFakeS3((_request, response) => answerError(response, status, code));
    const error = await t.throwsAsync(openS3BlobStore(fake.options), { message });
    t.regex(error?.message ?? '', /^The blob store at http:\/\/127\.0\.0\.1:\d+, bucket fake: /);
  });
}

const HEADER = 'x-amz-sdk-checksum-algorithm';

for (const [server, status, code, message] of [
  ['Cloudflare R2', 501, 'NotImplemented', `Header '${HEADER}' with value 'CRC32' not implemented`],
  ['Backblaze B2', 400, 'InvalidArgument', `Unsupported header '${HEADER}' received for this API call.`],
] as const) {
  ava(`a server that does not know checksums is told by the setting: ${server}`, async (t) => {
    await using fake = await startFakeS3(({ headers }, response) => {
      if (HEADER in headers) answerError(response, status, code, message);
    });
    await refused(
      t,
      openS3BlobStore(fake.options),
      'unavailable',
      /does not know the checksums of S3: say --s3-checksums when-required/,
    );
    using _store = await openS3BlobStore({ ...fake.options, checksums: 'when-required' });
  });
}

ava('a server that cannot copy is refused at the start, and not called busy', async (t) => {
  await using fake = await startFakeS3(({ headers }, response) => {
    if ('x-amz-copy-source' in headers)
      answerError(response, 501, 'NotImplemented', 'It is not implemented.');
  });
  await refused(t, openS3BlobStore(fake.options), 'unavailable', /cannot copy objects/);
});

ava('a server whose clock differs is asked again by its time', async (t) => {
  const hour = 3_600_000;
  const ages: number[] = [];
  await using fake = await startFakeS3((request, response) => {
    const now = Date.now() + hour;
    response.setHeader('date', new Date(now).toUTCString());
    const stamp = String(request.headers['x-amz-date']);
    const signed = stamp.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z');
    ages.push(now - Date.parse(signed));
    if (Math.abs(now - Date.parse(signed)) > hour / 4) answerError(response, 403, 'RequestTimeTooSkewed');
    else response.setHeader('last-modified', new Date(now).toUTCString());
  });
  using store = await openS3BlobStore(fake.options);
  t.true((ages[0] ?? 0) > hour / 2);
  const found = await store.stat('a'.repeat(64));
  t.true(Math.abs((found?.storedAt.getTime() ?? 0) - Date.now()) < 60_000);
});

ava('a clock that cannot be corrected is told', async (t) => {
  await using fake = await startFakeS3((_request, response) =>
    answerError(response, 403, 'RequestTimeTooSkewed'),
  );
  await refused(t, openS3BlobStore(fake.options), 'unavailable', /the clocks differ too much/);
});
