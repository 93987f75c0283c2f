import { randomBytes } from 'node:crypto';
import test from 'ava';
import { openTestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';
import {
  as,
  blobOf,
  checksumOf,
  codeOf,
  encoded,
  left,
  offsetOf,
  pathOf,
  tusCalls,
  VERSION,
} from './testing.ts';

const BYTES = randomBytes(300_000);
const DATA = { type: 'data', uuid: id(1), sha256: sha256(BYTES) };

test('an upload in chunks appears with its last byte, and its file is gone', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const created = await tus.create(BYTES.length, DATA);
  t.is(created.status, 201);
  t.is(created.headers.get('tus-resumable'), '1.0.0');
  t.is(created.headers.get('upload-resource'), `/data/${id(1)}`);
  t.truthy(created.headers.get('upload-expires'));
  const path = pathOf(created);
  for (let at = 0; at < BYTES.length; at += 100_000) {
    t.is((await service.call('admin', `/data/${id(1)}`)).status, 404);
    t.is(offsetOf(await tus.head(path)), at);
    const answer = await tus.patch(path, at, BYTES.subarray(at, at + 100_000));
    t.is(answer.status, 204);
    t.is(offsetOf(answer), at + 100_000);
  }
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
  t.deepEqual(await left(service), []);
  const head = await tus.head(path);
  t.is(offsetOf(head), BYTES.length);
  t.is(head.headers.get('upload-length'), String(BYTES.length));
  t.is(head.headers.get('cache-control'), 'no-store');
});

test('every type is described as in its form, and refused by the same rules', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const bytes = Buffer.from('abc');
  const good: Record<string, string>[] = [
    { type: 'problem', uuid: id(1), name: 'digits', description: 'Which?', filename: 'x.tgz' },
    { type: 'algo', uuid: id(2), name: 'a' },
    { type: 'model', uuid: id(3), algo: id(2) },
    { type: 'prediction', uuid: id(4) },
    { type: 'data' },
  ];
  for (const metadata of good) {
    const created = await tus.create(bytes.length, metadata);
    t.is(created.status, 201, metadata.type);
    t.is((await tus.patch(pathOf(created), 0, bytes)).status, 204, metadata.type);
    const resource = created.headers.get('upload-resource') ?? '';
    t.is((await service.call('admin', resource)).status, 200, resource);
  }
  t.like(await (await service.call('admin', `/problem/${id(1)}`)).json(), {
    name: 'digits',
    description: 'Which?',
  });
  const refused: [string, Record<string, string>][] = [
    ['invalid_upload', { uuid: id(9) }],
    ['invalid_upload', { type: 'algo' }],
    ['invalid_upload', { type: 'data', name: 'no' }],
    ['invalid_upload', { type: 'data', uuid: 'no' }],
    ['invalid_upload', { type: 'data', sha256: 'no' }],
    ['invalid_request', { type: 'model' }],
    ['not_found', { type: 'model', algo: id(9) }],
    ['conflict', { type: 'algo', name: 'a', uuid: id(2) }],
  ];
  for (const [code, metadata] of refused) {
    const answer = await tus.create(bytes.length, metadata);
    t.is(await codeOf(answer), code, JSON.stringify(metadata));
    t.is(answer.headers.get('tus-resumable'), '1.0.0');
  }
  const refusal = await tus.create(bytes.length, { type: 'data', name: 'no' });
  t.like(await refusal.json(), {
    detail:
      'Invalid form: name is not a valid field for data. Upload-Metadata says what the upload will be: correct it',
  });
});

test('what a client tells of a file besides is kept and means nothing', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const metadata = { type: 'data', uuid: id(1), filename: 'x.csv', 'my-own': 'thing', size: '7' };
  const created = await tus.create(3, metadata);
  t.is(created.status, 201);
  t.is((await tus.head(pathOf(created))).headers.get('upload-metadata'), encoded(metadata));
  const headers = {
    ...VERSION,
    'upload-length': '3',
    'upload-metadata': `${encoded({ type: 'data' })},is_confidential`,
  };
  t.is((await service.call('uploader', '/v1/uploads', { method: 'POST', headers })).status, 201);
});

test('an upload without bytes is there when it is created, for nothing more is sent of it', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const created = await tus.create(0, { type: 'data', uuid: id(1), sha256: sha256('') });
  t.is(created.status, 201);
  t.is(offsetOf(created), 0);
  t.is(await blobOf(service, `/data/${id(1)}`), sha256(''));
  const head = await tus.head(pathOf(created));
  t.deepEqual([offsetOf(head), head.headers.get('upload-length')], [0, '0']);
  t.deepEqual(await left(service), []);
  t.is(await codeOf(await tus.create(0, { type: 'data', sha256: sha256('a') })), 'digest_mismatch');
});

test('a POST is of the method that X-HTTP-Method-Override names, for uploads alone', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(3, { type: 'data', uuid: id(1) }));
  const post = async (to: string, method: string, headers = {}, body?: string) => {
    const init = { method: 'POST', headers: { ...VERSION, 'x-http-method-override': method, ...headers } };
    return await service.call('uploader', to, body === undefined ? init : { ...init, body });
  };
  const chunk = { 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' };
  const sent = await post(path, 'PATCH', chunk, 'abc');
  t.deepEqual([sent.status, offsetOf(sent)], [204, 3]);
  t.is(await blobOf(service, `/data/${id(1)}`), sha256('abc'));
  const asked = await post(path, 'head');
  t.deepEqual([asked.status, offsetOf(asked), await asked.text()], [200, 3, '']);
  t.is((await post(path, 'DELETE')).status, 204);
  t.is((await post(path, 'DELETE')).status, 404);
  t.is((await post(path, 'NONSENSE')).status, 405);
  t.is((await post(`/data/${id(1)}`, 'DELETE')).status, 404);
  const get = { headers: { ...VERSION, 'x-http-method-override': 'DELETE' } };
  const kept = pathOf(await tus.create(3, { type: 'data' }));
  t.is((await service.call('uploader', kept, get)).status, 405);
  t.is((await tus.head(kept)).status, 200);
});

test('what is offered, the version and the largest upload are told', async (t) => {
  await using service = await openTestService({ settings: { maxUploadBytes: 1000 } });
  const options = await service.call('uploader', '/v1/uploads', { method: 'OPTIONS' });
  t.is(options.status, 204);
  t.is(options.headers.get('tus-version'), '1.0.0');
  t.is(options.headers.get('tus-max-size'), '1000');
  t.is(options.headers.get('tus-extension'), 'creation,expiration,checksum,termination');
  const old = await service.call('uploader', '/v1/uploads', {
    method: 'POST',
    headers: { 'tus-resumable': '0.2.2' },
  });
  t.is(old.status, 412);
  t.is(old.headers.get('tus-version'), '1.0.0');
  t.is(await codeOf(await as(service, 'uploader').create(1001, { type: 'data' })), 'too_large');
});

test('a chunk at another offset, of another type or beyond the end changes nothing', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  await tus.patch(path, 0, BYTES.subarray(0, 1000));
  t.is((await tus.patch(path, 0, BYTES)).status, 409);
  t.is((await tus.patch(path, 2000, BYTES)).status, 409);
  t.is((await tus.patch(path, 1000, BYTES, { headers: { 'content-type': 'text/plain' } })).status, 415);
  t.is((await tus.patch(path, 1000, BYTES)).status, 413);
  t.is(offsetOf(await tus.head(path)), 1000);
  t.is((await tus.patch(path, 1000, BYTES.subarray(1000))).status, 204);
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
});

test('a chunk with a flipped bit is answered 460 and thrown away', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  const right = BYTES.subarray(0, 50_000);
  for (let bit = 0; bit < 16; bit++) {
    const wrong = Buffer.from(right);
    const at = (bit * 7919) % wrong.length;
    wrong[at] = (wrong[at] ?? 0) ^ (1 << (bit % 8));
    const headers = checksumOf(right, bit % 2 === 0 ? 'sha1' : 'sha256');
    t.is((await tus.patch(path, 0, wrong, { headers })).status, 460);
    t.is(offsetOf(await tus.head(path)), 0);
  }
  t.is((await tus.patch(path, 0, right, { headers: checksumOf(right) })).status, 204);
  t.is((await tus.patch(path, 50_000, right, { headers: { 'upload-checksum': 'md5 x' } })).status, 400);
});

test('bytes with another digest than was promised are refused at the end, and gone', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const wrong = Buffer.from(BYTES);
  wrong[123] = (wrong[123] ?? 0) ^ 1;
  const path = pathOf(await tus.create(BYTES.length, DATA));
  t.is(await codeOf(await tus.patch(path, 0, wrong)), 'digest_mismatch');
  t.is((await service.call('admin', `/data/${id(1)}`)).status, 404);
  t.is((await tus.head(path)).status, 404);
  t.deepEqual(await left(service), []);
  t.is(await service.staged(), 0);
});

test('an id that was taken on the way is a conflict at the end', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const paths = [pathOf(await tus.create(BYTES.length, DATA)), pathOf(await tus.create(BYTES.length, DATA))];
  t.is((await tus.patch(paths[0] ?? '', 0, BYTES)).status, 204);
  t.is(await codeOf(await tus.patch(paths[1] ?? '', 0, BYTES)), 'conflict');
  t.deepEqual(await left(service), []);
});

test('only who began an upload, and admins, may go on with it', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const path = pathOf(await tus.create(BYTES.length, DATA));
  for (const [role, status] of [
    ['other', 403],
    ['worker', 403],
    ['reader', 403],
    ['orchestrator', 403],
  ] as const) {
    t.is((await as(service, role).head(path)).status, status);
    t.is((await as(service, role).patch(path, 0, BYTES)).status, status);
    t.is((await as(service, role).drop(path)).status, status);
  }
  t.is((await as(service, 'reader').create(3, { type: 'data' })).status, 403);
  const nobody = tusCalls((at, init) => service.call(null, at, init));
  t.is((await nobody.create(3, { type: 'data' })).status, 401);
  for (const answer of [nobody.head(path), nobody.patch(path, 0, BYTES), nobody.drop(path)])
    t.is((await answer).status, 401);
  t.is((await service.call(null, '/v1/uploads', { method: 'OPTIONS' })).status, 401);
  t.is((await as(service, 'admin').patch(path, 0, BYTES)).status, 204);
});

test('an upload that is given up is gone, and what it made stays', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  const [given, ended] = [await tus.create(9, { type: 'data' }), await tus.create(BYTES.length, DATA)].map(
    pathOf,
  );
  await tus.patch(given ?? '', 0, Buffer.from('abc'));
  await tus.patch(ended ?? '', 0, BYTES);
  for (const path of [given, ended]) {
    t.is((await tus.drop(path ?? '')).status, 204);
    t.is((await tus.head(path ?? '')).status, 404);
  }
  t.deepEqual(await left(service), []);
  t.is(await blobOf(service, `/data/${id(1)}`), DATA.sha256);
});
