import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { rawTar } from '@morpheo/service/archive/testing';
import { bucketOptions, sharedMinio, minioTest as test } from '../testing/minio.ts';
import { openTestService, type TestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';

const minio = sharedMinio();

async function openInBucket(links = true): Promise<TestService> {
  const options = await bucketOptions(await minio());
  return await openTestService({
    blobs: { kind: 's3', options: { ...options, ...(links ? { links: { seconds: 60 } } : {}) } },
  });
}

const upload = async (service: TestService, number: number, body: Buffer) =>
  (await service.call('uploader', `/data?uuid=${id(number)}`, { method: 'POST', body: new Uint8Array(body) }))
    .status;

test('bytes go to a bucket and come back, whole and in part', async (t) => {
  await using service = await openInBucket();
  const bytes = randomBytes(20_000_000);
  t.is(await upload(service, 1, bytes), 201);
  const path = `/data/${id(1)}/blob`;
  const whole = await service.call('admin', path);
  t.true(Buffer.from(await whole.arrayBuffer()).equals(bytes));
  const part = await service.call('admin', path, { headers: { range: 'bytes=9000000-9000009' } });
  t.is(part.status, 206);
  t.true(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(9_000_000, 9_000_010)));
  t.is((await service.call('admin', path, { method: 'HEAD' })).headers.get('content-length'), '20000000');
  t.is((await service.call('admin', `/data/${id(1)}`, { method: 'DELETE' })).status, 204);
  t.is((await service.call('admin', path)).status, 404);
});

test('a file of the output of a job comes out of the bucket by itself, whatever it is called', async (t) => {
  await using service = await openInBucket();
  const bytes = randomBytes(300_000);
  const name = 'weights/ünd & more?.bin';
  const tar = rawTar([
    { name: 'first', body: 'x' },
    { name, body: bytes },
  ]);
  const stage = `/v1/results/${id(1)}/1?type=output&uuid=${id(2)}`;
  const body = new Uint8Array(tar);
  t.is((await service.call('admin', stage, { method: 'PUT', body })).status, 201);
  t.is((await service.call('admin', `/v1/results/${id(1)}/1/publish`, { method: 'POST' })).status, 200);
  const path = `/v1/outputs/${id(2)}/file?path=${encodeURIComponent(name)}`;
  const whole = await service.call('admin', path, { headers: { prefer: 'redirect' }, redirect: 'manual' });
  t.is(whole.status, 200);
  t.is(whole.headers.get('etag'), `"${sha256(bytes)}"`);
  t.true(Buffer.from(await whole.arrayBuffer()).equals(bytes));
  const part = await service.call('admin', path, { headers: { range: 'bytes=-9' } });
  t.true(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(-9)));
  t.is((await service.call('admin', path, { method: 'HEAD' })).headers.get('content-length'), '300000');
  const list = await (await service.call('admin', `/v1/outputs/${id(2)}/files?prefix=weights/`)).json();
  t.deepEqual(list, { items: [{ path: name, size: 300_000, sha256: sha256(bytes) }] });
  t.is((await service.call('reader', path)).status, 404);
});

test('a download that prefers it is sent to the bucket', async (t) => {
  await using service = await openInBucket();
  const bytes = Buffer.from('handed over');
  await upload(service, 1, bytes);
  const headers = { prefer: 'redirect' };
  const answer = await service.call('admin', `/data/${id(1)}/blob`, { headers, redirect: 'manual' });
  t.is(answer.status, 307);
  t.is(answer.headers.get('cache-control'), 'no-store');
  t.is(answer.headers.get('preference-applied'), 'redirect');
  const link = answer.headers.get('location') ?? '';
  t.regex(link, /[?&]X-Amz-Expires=60\b/);
  const there = await fetch(link);
  t.is(await there.text(), 'handed over');
  t.is(there.headers.get('content-disposition'), `attachment; filename="${id(1)}"`);
  t.is(there.headers.get('content-type'), 'application/octet-stream');
  t.is((await fetch(link.replace(/Signature=./, 'Signature=_'))).status, 403);
});

test('nobody is sent to the bucket who may not have the bytes', async (t) => {
  await using service = await openInBucket();
  await upload(service, 1, Buffer.from('secret'));
  const path = `/data/${id(1)}/blob`;
  const ask = async (role: 'reader' | 'uploader' | 'admin' | null, headers: Record<string, string>) =>
    (await service.call(role, path, { headers: { prefer: 'redirect', ...headers }, redirect: 'manual' }))
      .status;
  t.is(await ask(null, {}), 401);
  t.is(await ask('reader', {}), 404);
  const etag = `"${sha256('secret')}"`;
  t.is(await ask('admin', { 'if-none-match': etag }), 304);
  t.is(await ask('admin', { range: 'bytes=100-' }), 416);
  t.is(await ask('admin', { 'if-match': etag }), 200);
  t.is(await ask('admin', { prefer: 'respond-async, redirect; x=1' }), 307);
  t.is(await ask('admin', { prefer: 'redirection' }), 200);
});

test('a client that follows leaves its credentials behind, and may go on in the middle', async (t) => {
  await using service = await openInBucket();
  await upload(service, 1, Buffer.from('0123456789'));
  const headers = { prefer: 'redirect', range: 'bytes=4-' };
  // MinIO would refuse a request with two kinds of credentials.
  const rest = await service.call('admin', `/data/${id(1)}/blob`, { headers });
  t.is(rest.status, 206);
  t.is(rest.headers.get('server'), 'MinIO');
  t.is(rest.headers.get('content-range'), 'bytes 4-9/10');
  t.is(await rest.text(), '456789');
});

test('a store without links serves the bytes itself', async (t) => {
  await using service = await openInBucket(false);
  await upload(service, 1, Buffer.from('here'));
  const answer = await service.call('admin', `/data/${id(1)}/blob`, { headers: { prefer: 'redirect' } });
  t.is(answer.status, 200);
  t.is(await answer.text(), 'here');
});

test('a link dies [B24]', async (t) => {
  await using service = await openTestService({
    blobs: { kind: 's3', options: { ...(await bucketOptions(await minio())), links: { seconds: 1 } } },
  });
  await upload(service, 1, Buffer.from('brief'));
  const headers = { prefer: 'redirect' };
  const answer = await service.call('admin', `/data/${id(1)}/blob`, { headers, redirect: 'manual' });
  const link = answer.headers.get('location') ?? '';
  while ((await fetch(link)).status === 200) await pause(50);
  t.is((await fetch(link)).status, 403);
});
