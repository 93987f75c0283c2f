import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RESOURCE_TYPES } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { refused } from './testing/expect.ts';
import { basic, openTestService, type TestService } from './testing/open-service.ts';
import { FORM_TYPE, formBytes, id, sha256 } from './testing/requests.ts';

const CREDENTIALS = `Authorization: ${basic('admin')}`;

function formData(parts: Readonly<Record<string, string>>, blob: string): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(parts)) form.set(name, value);
  form.set('blob', new Blob([blob]), 'blob.tar.gz');
  return form;
}

const post = ({ call }: TestService, type: string, parts: Readonly<Record<string, string>>, blob = 'bytes') =>
  call('admin', `/${type}`, { method: 'POST', body: formData(parts, blob) });

const totalOf = async ({ call }: TestService, type = 'data') => {
  const answer = (await (await call('admin', `/${type}`)).json()) as { total: number };
  return answer.total;
};

test('every route of a type asks for credentials and answers 401 with nothing', async (t) => {
  await using service = await openTestService();
  for (const type of RESOURCE_TYPES) {
    for (const path of [`/${type}`, `/${type}/:uuid`, `/${type}/:uuid/blob`]) {
      const answer = await service.call(null, path);
      t.is(answer.status, 401, path);
      t.is(await answer.text(), '');
      t.is(answer.headers.get('www-authenticate'), 'Basic realm="Authorization Required"');
    }
  }
  for (const path of ['/', '/health', '/ready']) {
    await eventually(t, async (inner) => inner.is((await service.call(null, path)).status, 200, path));
  }
});

test('data that is open to all is seen by all and read by none, and nothing is uploaded by readers', async (t) => {
  await using service = await openTestService({ settings: { defaultVisibility: 'open' } });
  await post(service, 'data', { uuid: id(1), size: '1' });
  const status = async (role: 'admin' | 'worker' | 'uploader' | 'reader', path: string, method = 'GET') =>
    (await service.call(role, path, { method })).status;
  t.is(await status('admin', `/data/${id(1)}/blob`), 200);
  t.is(await status('worker', `/data/${id(1)}/blob`), 403);
  t.is(await status('uploader', `/data/${id(1)}/blob`), 403);
  t.is(await status('reader', `/data/${id(1)}/blob`, 'HEAD'), 403);
  t.is(await status('reader', `/data/${id(1)}`), 200);
  t.is(await status('reader', '/data', 'POST'), 403);
  t.is(await status('worker', `/data/${id(1)}`, 'DELETE'), 403);
});

test('what is uploaded by a form comes back over HTTP', async (t) => {
  await using service = await openTestService();
  const blob = 'the bytes '.repeat(50_000);
  const made = await post(
    service,
    'problem',
    { uuid: id(1), name: 'n', description: 'd', size: '666' },
    blob,
  );
  t.is(made.status, 201);
  t.is(made.headers.get('content-type'), 'application/json; charset=UTF-8');
  t.like(await made.json(), { uuid: id(1), name: 'n', description: 'd', sha256: sha256(blob) });
  const answer = await service.call('admin', `/problem/${id(1)}/blob`);
  t.is(answer.headers.get('etag'), `"${sha256(blob)}"`);
  t.is(answer.headers.get('content-length'), String(blob.length));
  t.is(await answer.text(), blob);
});

test('a uuid that is taken is told in the status line', async (t) => {
  await using service = await openTestService();
  await post(service, 'data', { uuid: id(1), size: '1' });
  const answer = await post(service, 'data', { uuid: id(1), size: '1' }, 'x'.repeat(3_000_000));
  t.is(`${answer.status} ${answer.statusText}`, '409 Conflict');
  t.like(await answer.json(), {
    error: `[Error uploading data] [model] UUID ${id(1)} already exist in table 'data'`,
    code: 'conflict',
  });
});

test('an error ends with the words that clients look for', async (t) => {
  await using service = await openTestService();
  const body = await (await service.call('reader', `/algo/${id(9)}`)).text();
  t.regex(body, /sql: no rows in result set"\}$/);
});

test('ranges and conditions hold over HTTP', async (t) => {
  await using service = await openTestService();
  await post(service, 'algo', { uuid: id(1), name: 'n', size: '1' }, '0123456789');
  const get = (headers: Record<string, string>, method = 'GET') =>
    service.call('admin', `/algo/${id(1)}/blob`, { method, headers });
  const part = await get({ range: 'bytes=2-4' });
  t.is(part.status, 206);
  t.is(part.headers.get('content-range'), 'bytes 2-4/10');
  t.is(await part.text(), '234');
  const outside = await get({ range: 'bytes=10-' });
  t.is(outside.status, 416);
  t.is(outside.headers.get('content-range'), 'bytes */10');
  await outside.text();
  t.is((await get({ 'if-none-match': `"${sha256('0123456789')}"` })).status, 304);
  t.is((await get({ 'if-match': '"other"' })).status, 412);
  const head = await get({}, 'HEAD');
  t.is(head.headers.get('content-length'), '10');
  t.is(await head.text(), '');
});

test('a model comes raw, with its length', async (t) => {
  await using service = await openTestService();
  await post(service, 'algo', { uuid: id(1), name: 'n', size: '1' });
  const path = `/model?uuid=${id(2)}&algo=${id(1)}`;
  const told = await service.call('admin', path, { method: 'POST', body: 'model' });
  t.is(told.status, 201);
  t.like(await told.json(), { uuid: id(2), algo: id(1), size: 5 });
  const request = `POST /model?algo=${id(1)} HTTP/1.1\r\nHost: localhost\r\n${CREDENTIALS}\r\nConnection: close\r\n`;
  const chunked = await service.send(`${request}Transfer-Encoding: chunked\r\n\r\n5\r\nmodel\r\n0\r\n\r\n`);
  t.regex(chunked, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*Error parsing header 'Content-Length'/);
});

test('both dialects are told apart by their content type', async (t) => {
  await using service = await openTestService();
  const seed = await service.call('uploader', '/problem', {
    method: 'POST',
    body: 'raw bytes',
    headers: { 'content-type': 'application/octet-stream' },
  });
  t.is(seed.status, 201);
  t.like(await seed.json(), { status: 'problem created' });
  const later = await post(service, 'problem', { name: 'n', description: 'd', size: '1' });
  t.like(await later.json(), { name: 'n' });
});

test('a form that a client cuts leaves nothing, wherever it is cut', async (t) => {
  await using service = await openTestService();
  const form = formBytes([
    ['size', '1'],
    ['blob', 'x'.repeat(200_000)],
  ]);
  const head = `POST /data HTTP/1.1\r\nHost: localhost\r\n${CREDENTIALS}\r\nContent-Type: ${FORM_TYPE}\r\n`;
  // Within the delimiter that ends the blob; behind it the blob is whole, and nothing is read any more.
  const almost = form.lastIndexOf('\r\n--') + 5;
  for (const length of [0, 10, 100, 70_000, 190_000, almost]) {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
    socket.write(`${head}Content-Length: ${form.length}\r\n\r\n`);
    socket.write(form.subarray(0, length));
    if (length > 200) await eventually(t, async (inner) => inner.is(await service.staged(), 1));
    socket.destroy();
    await eventually(t, async (inner) => inner.is(await service.staged(), 0));
  }
  t.is(await totalOf(service), 0);
});

test('a raw body that a client cuts leaves nothing', async (t) => {
  await using service = await openTestService();
  const head = `POST /data HTTP/1.1\r\nHost: localhost\r\n${CREDENTIALS}\r\n`;
  for (const framing of [
    'Content-Length: 100000\r\n\r\nbytes',
    'Transfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n',
  ]) {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
    socket.write(head + framing);
    await eventually(t, async (inner) => inner.is(await service.staged(), 1));
    socket.destroy();
    await eventually(t, async (inner) => inner.is(await service.staged(), 0));
  }
  t.is(await totalOf(service), 0);
});

test('a malformed form is a 400 that says what is wrong', async (t) => {
  await using service = await openTestService();
  const send = async (body: string | Buffer, type = FORM_TYPE) => {
    const init = {
      method: 'POST',
      body: new Uint8Array(Buffer.from(body)),
      headers: { 'content-type': type },
    };
    const answer = await service.call('admin', '/data', init);
    return `${answer.status} ${((await answer.json()) as { error: string }).error}`;
  };
  const form = formBytes([
    ['size', '1'],
    ['blob', 'bytes'],
  ]);
  t.regex(await send(form.subarray(0, -30)), /^400 .*Error parsing multipart data: unexpected EOF/);
  t.regex(await send(form, 'multipart/form-data; boundary=other'), /^400 .*Error parsing multipart data/);
  t.regex(await send(form, 'multipart/form-data'), /^400 .*boundary is empty/);
  t.regex(await send(formBytes([['size', '1']])), /^400 .*Premature EOF while parsing request/);
  t.regex(
    await send(
      formBytes([
        ['blob', 'b'],
        ['size', '1'],
      ]),
    ),
    /^400 .*'Size' unset/,
  );
  t.is(await service.staged(), 0);
  t.is(await totalOf(service), 0);
});

test('a refused upload is answered while its client still sends', async (t) => {
  await using service = await openTestService({ settings: { maxUploadBytes: 1000 } });
  const answer = await post(service, 'data', { size: '1' }, 'x'.repeat(5_000_000));
  t.is(answer.status, 413);
  await answer.text();
  t.is(await service.staged(), 0);
});

test('what was stored is there after a restart, and what was half-written is gone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'storage-restart-'));
  t.teardown(() => rm(folder, { recursive: true }));
  {
    await using service = await openTestService({}, folder);
    await post(service, 'data', { uuid: id(1), size: '1' }, 'kept');
    await writeFile(join(folder, 'staging', 'half'), 'writ');
  }
  await using service = await openTestService({}, folder);
  t.is(await service.staged(), 0);
  t.is(await (await service.call('admin', `/data/${id(1)}/blob`)).text(), 'kept');
});

test('a folder is held by one service at a time', async (t) => {
  await using service = await openTestService();
  await refused(t, openTestService({}, service.folder), 'unavailable', /opened twice by this process/);
});

test('a service that is drained finishes its uploads first', async (t) => {
  await using service = await openTestService();
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  socket.write(`POST /data HTTP/1.1\r\nHost: localhost\r\n${CREDENTIALS}\r\nContent-Length: 10\r\n\r\nfirst`);
  await eventually(t, async (inner) => inner.is(await service.staged(), 1));
  const drained = service.drain();
  const answered = once(socket, 'data');
  socket.write('after');
  t.regex(String(await answered), /^HTTP\/1\.1 201 Created/);
  await drained;
  socket.destroy();
});
