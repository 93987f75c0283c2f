import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { type BytesIn, isPlatformError } from '@morpheo/common';
import test from 'ava';
import { openSmallService } from '../testing/small-service.ts';
import { talk } from '../testing/talk.ts';

const PUT_JSON = { method: 'PUT', headers: { 'content-type': 'application/json' } };
const post = (body: string, headers: Record<string, string> = {}) => ({ method: 'POST', headers, body });

test('Bodies are read by the rules of the originals whatever their type says', async (t) => {
  await using service = await openSmallService();
  const order = '{"UUID":"{6C7A2F5E-0B1D-4F0C-9F8E-2B6D1F7C0A11}","other":1} trailing';
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
    const response = await fetch(`${service.url}/order`, post(order, { 'content-type': type }));
    t.is(response.status, 202);
    t.is(response.headers.get('content-type'), 'application/json; charset=UTF-8');
    t.deepEqual(await response.json(), { uuid: '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11', rank: 0 });
  }
});

test('A body that the originals cannot decode says why', async (t) => {
  await using service = await openSmallService();
  const told = async (body: string) => {
    const response = await fetch(`${service.url}/order`, post(body));
    t.is(response.headers.get('content-type'), 'application/json; charset=UTF-8');
    const problem = (await response.json()) as { code: string; error: string };
    t.is(problem.code, 'invalid_json');
    return problem.error;
  };
  t.is(await told(''), 'Error decoding body to JSON: EOF');
  t.is(await told('{"uuid":""}'), 'Error decoding body to JSON: uuid: UUID string too short: ');
  t.regex(await told('{"rank":1.5}'), /^Error decoding body to JSON: json: cannot unmarshal number/);
  t.regex(await told('nonsense'), /^Error decoding body to JSON: /);
});

test('Plain JSON must be JSON in UTF-8 of a JSON type', async (t) => {
  await using service = await openSmallService();
  const put = async (type: string | undefined, body: BodyInit) => {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    const response = await fetch(`${service.url}/v1/things/a`, { method: 'PUT', headers, body });
    return ((await response.json()) as { code?: string }).code;
  };
  const good = new TextEncoder().encode('{"name":"x","size":1}');
  t.is(await put(undefined, good), undefined);
  t.is(await put('application/json; charset=UTF-8', good), undefined);
  t.is(await put('application/merge-patch+json', good), undefined);
  t.is(await put('application/json', '{"name":'), 'invalid_json');
  t.is(await put('application/json', ''), 'invalid_json');
  t.is(await put('application/json', new Uint8Array([0x22, 0xff, 0x22])), 'invalid_json');
  t.is(await put('application/json', '[]'), 'invalid_request');
  t.is(await put('text/plain', good), 'unsupported_media_type');
  t.is(await put('application/json; charset=latin1', good), 'unsupported_media_type');
});

test('JSON over the limit is refused, announced or not', async (t) => {
  await using service = await openSmallService({ limits: { jsonBytes: 100 } });
  const body = JSON.stringify({ name: 'x'.repeat(200), size: 1 });
  const announced = await fetch(`${service.url}/v1/things/a`, { ...PUT_JSON, body });
  t.is(announced.status, 413);
  t.like(await announced.json(), { code: 'too_large', limit: 100 });
  const sent = request(`${service.url}/v1/things/a`, { ...PUT_JSON, agent: false });
  sent.write(body);
  sent.end();
  const [chunked] = await once(sent, 'response');
  t.is(chunked.statusCode, 413);
  chunked.resume();
});

test('A connection serves on after a small refused body', async (t) => {
  await using service = await openSmallService({ limits: { jsonBytes: 100 } });
  const head = 'POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\n\r\n';
  const next = 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const answers = await talk(service.url, `${head}${'x'.repeat(200)}${next}`);
  t.deepEqual(answers.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 413', 'HTTP/1.1 200']);
});

test('JSON that does not arrive in time is given up', async (t) => {
  await using service = await openSmallService({ limits: { jsonMs: 50 } });
  const answer = await talk(
    service.url,
    'POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{',
  );
  t.regex(answer, /^HTTP\/1.1 408 .*"code":"timed_out"/s);
});

test('Bytes come as a stream with what describes them', async (t) => {
  await using service = await openSmallService();
  const headers = { 'content-type': 'application/gzip' };
  const known = await fetch(`${service.url}/data`, {
    method: 'POST',
    headers,
    body: Buffer.alloc(3_000_000),
  });
  t.is(known.status, 201);
  t.deepEqual(await known.json(), { size: 3_000_000, type: 'application/gzip', length: 3_000_000 });
  const empty = await fetch(`${service.url}/data`, { method: 'POST' });
  t.deepEqual(await empty.json(), { size: 0, length: 0 });
});

test('A refused upload is answered before its client has sent it', async (t) => {
  const upload = () => Promise.reject(new Error('must not be called'));
  await using service = await openSmallService({ authenticate: async () => null, api: { upload } });
  const sent = request(`${service.url}/data`, {
    method: 'POST',
    agent: false,
    headers: { expect: '100-continue' },
  });
  sent.flushHeaders();
  sent.on('continue', () => t.fail('The body was asked for'));
  const [response] = await once(sent, 'response');
  t.is(response.statusCode, 401);
  t.is(response.headers.connection, 'close');
  response.resume();
  sent.destroy();
});

test('A client that waits for leave to send gets it', async (t) => {
  await using service = await openSmallService();
  const sent = request(`${service.url}/data`, {
    method: 'POST',
    agent: false,
    headers: { expect: '100-continue' },
  });
  sent.flushHeaders();
  await once(sent, 'continue');
  sent.end('bytes');
  const [response] = await once(sent, 'response');
  t.is(response.statusCode, 201);
  response.resume();
});

test('A client that sends all before it reads gets the answer to a refused upload', async (t) => {
  const upload = async ({ body }: { body: BytesIn }) => {
    for await (const _chunk of body.body) break;
    throw new Error('no more of this');
  };
  await using service = await openSmallService({ api: { upload } });
  const size = 20_000_000;
  const head = `POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`;
  const answer = await talk(service.url, head + 'x'.repeat(size));
  t.regex(answer, /^HTTP\/1.1 500 /);
  t.regex(answer, /"code":"internal"/);
});

test('A handler learns that its client has cut the upload', async (t) => {
  const outcome = Promise.withResolvers<unknown>();
  const aborted = Promise.withResolvers<unknown>();
  await using service = await openSmallService({
    api: {
      upload: async ({ body }, call) => {
        call?.signal?.addEventListener('abort', () => aborted.resolve(call.signal?.reason));
        try {
          for await (const chunk of body.body) if (chunk.length > 0) socket.destroy();
        } catch (error) {
          outcome.resolve(error);
          throw error;
        }
        return { size: 0 };
      },
    },
  });
  const socket = connect(service.port, '127.0.0.1');
  socket.write('POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nsome');
  t.true(isPlatformError(await outcome.promise, 'cancelled'));
  t.true(isPlatformError(await aborted.promise, 'cancelled'));
});

test('An upload that falls silent is given up', async (t) => {
  await using service = await openSmallService({ limits: { idleMs: 50 } });
  const answer = await talk(
    service.url,
    'POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab',
  );
  t.regex(answer, /^HTTP\/1.1 408 .*"code":"timed_out"/s);
});
