import { once } from 'node:events';
import { openAsBlob } from 'node:fs';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createClient } from './client.ts';
import { orchestratorClient } from './index.ts';
import { contract } from './testing/contract.ts';
import { openPeer } from './testing/peer.ts';

const N1 = '{"n":1}';

test('A call becomes the request that its contract says', async (t) => {
  await using peer = await openPeer((response) => response.end(N1));
  const client = createClient(contract, { url: `${peer.url}/prefix/`, headers: { 'x-mine': 'yes' } });
  const input = {
    params: { id: 'a/b ü?' },
    query: { limit: 3, word: undefined },
    headers: { 'if-match': '"1"' },
    body: { name: 'näme' },
  };
  t.deepEqual(await client.change(input), { n: 1 });
  const [request] = peer.seen;
  t.is(request?.method, 'PUT');
  t.is(request?.url, '/prefix/things/a%2Fb%20%C3%BC%3F?limit=3');
  t.like(request?.headers, { 'if-match': '"1"', 'content-type': 'application/json', 'x-mine': 'yes' });
  t.regex(request?.headers.accept ?? '', /application\/json/);
  t.is(request?.headers.authorization, undefined);
  t.is(request?.body, '{"name":"näme"}');
});

test('Credentials are sent as Basic ones in UTF-8, wherever they are given', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(204).end());
  const secret = 'p:äss';
  await createClient(contract, { url: peer.url, credentials: { name: 'u', secret } }).drop({
    params: { id: '1' },
  });
  const inUrl = peer.url.replace('//', `//u:${encodeURIComponent(secret)}@`);
  await createClient(contract, { url: inUrl }).drop({ params: { id: '1' } });
  const expected = `Basic ${Buffer.from('u:p:äss').toString('base64')}`;
  t.deepEqual(
    peer.seen.map(({ headers }) => headers.authorization),
    [expected, expected],
  );
});

test('A path parameter that is empty or dots is never sent', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(204).end());
  const client = createClient(contract, { url: peer.url });
  for (const id of ['', '.', '..']) {
    await t.throwsAsync(client.drop({ params: { id } }), {
      code: 'invalid_request',
      message: /path parameter id/,
    });
  }
  t.is(peer.seen.length, 0);
});

test('An address that is no web address is refused at once', (t) => {
  for (const url of ['', 'nothing', 'ftp://a', 'file:///etc/passwd']) {
    t.throws(() => createClient(contract, { url }), { code: 'invalid_request' }, url);
  }
});

async function* pieces() {
  yield new TextEncoder().encode('ab');
  yield new TextEncoder().encode('cde');
}

test('Bytes are sent as a stream, with their length where it is known', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(201).end(N1));
  const client = createClient(contract, { url: peer.url });
  const described = { contentType: 'application/gzip', contentDigest: 'sha-256=:x:' };
  await client.upload({ body: { body: pieces(), ...described, contentLength: 5 } });
  await client.upload({ body: { body: pieces() } });
  const [known, unknown] = peer.seen;
  t.like(known?.headers, {
    'content-length': '5',
    'content-type': 'application/gzip',
    'content-digest': 'sha-256=:x:',
  });
  t.is(known?.body, 'abcde');
  t.like(unknown?.headers, { 'transfer-encoding': 'chunked', 'content-type': 'application/octet-stream' });
  t.is(unknown?.body, 'abcde');
});

test('A file is sent with its length', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'client-'));
  await writeFile(join(folder.path, 'file'), 'abcde');
  const blob = await openAsBlob(join(folder.path, 'file'));
  await using peer = await openPeer((response) => response.writeHead(201).end(N1));
  await createClient(contract, { url: peer.url }).upload({ body: { body: pieces(), blob } });
  t.is(peer.seen[0]?.headers['content-length'], '5');
  t.is(peer.seen[0]?.body, 'abcde');
});

test('An upload is not held in memory', async (t) => {
  const sink = createServer((request, response) => request.on('end', () => response.end(N1)).resume());
  await once(sink.listen(0, '127.0.0.1'), 'listening');
  const address = sink.address();
  const port = typeof address === 'object' ? address?.port : 0;
  let held = 0;
  async function* large() {
    for (let at = 0; at < 4000; at++) {
      yield new Uint8Array(65_536);
      held = Math.max(held, process.memoryUsage().arrayBuffers);
    }
  }
  await createClient(contract, { url: `http://127.0.0.1:${port}` }).upload({ body: { body: large() } });
  t.true(held < 130_000_000, `${held} of 262,144,000 bytes were held`);
  sink.close();
});

test('A redirect is not followed', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(307, { location: '/elsewhere' }).end());
  const client = createClient(contract, { url: peer.url });
  await t.throwsAsync(client.drop({ params: { id: '1' } }), {
    code: 'unavailable',
    message: /unexpected redirect/,
  });
  t.is(peer.seen.length, 1);
});

test('What the source of an upload throws is thrown as it is', async (t) => {
  const broken = new Error('disk');
  async function* source() {
    yield* pieces();
    throw broken;
  }
  await using peer = await openPeer((response) => response.end(N1));
  const call = createClient(contract, { url: peer.url }).upload({ body: { body: source() } });
  t.is(await t.throwsAsync(call), broken);
});

test('Downloads give status, headers and a stream', async (t) => {
  await using peer = await openPeer((response, request) => {
    if (request.headers['if-none-match'] === '"1"') response.writeHead(304, { etag: '"1"' }).end();
    else response.writeHead(206, { 'content-range': 'bytes 0-2/9' }).end('abc');
  });
  const client = createClient(contract, { url: peer.url });
  const part = await client.download({ params: { id: '1' }, headers: {} });
  t.is(part.status, 206);
  t.is(part.headers['content-range'], 'bytes 0-2/9');
  t.is(await new Response(part.body ?? null).text(), 'abc');
  const same = await client.download({ params: { id: '1' }, headers: { 'if-none-match': '"1"' } });
  t.is(same.status, 304);
  t.is(same.body, undefined);
});

test('A token is asked for at each request, and sent as Bearer in place of the credentials', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(204).end());
  const tokens = [undefined, 'one', 'two'];
  const credentials = { name: 'u', secret: 's' };
  const client = createClient(contract, { url: peer.url, credentials, token: () => tokens.shift() });
  for (const id of ['1', '2', '3']) await client.drop({ params: { id } });
  t.deepEqual(
    peer.seen.map(({ headers }) => headers.authorization),
    [`Basic ${btoa('u:s')}`, 'Bearer one', 'Bearer two'],
  );
});

test('A download that prefers it goes where it is sent, without its credentials', async (t) => {
  await using store = await openPeer((response) => response.end('from the store'));
  await using peer = await openPeer((response) => response.writeHead(307, { location: store.url }).end());
  const options = { url: peer.url, credentials: { name: 'a', secret: 'b' } };
  const input = { params: { id: '1' }, headers: {} };
  await t.throwsAsync(createClient(contract, options).download(input), { message: /unexpected redirect/ });
  const client = createClient(contract, { ...options, headers: { prefer: 'redirect' } });
  t.is(await new Response((await client.download(input)).body ?? null).text(), 'from the store');
  t.truthy(peer.seen.at(-1)?.headers.authorization);
  t.is(store.seen[0]?.headers.authorization, undefined);
});

test('A download that breaks off says so', async (t) => {
  await using peer = await openPeer((response) => {
    response.writeHead(200, { 'content-length': '9' }).write('abc', () => response.destroy());
  });
  const client = createClient(contract, { url: peer.url });
  const whole = async () =>
    await new Response((await client.download({ params: { id: '1' }, headers: {} })).body ?? null).text();
  await t.throwsAsync(whole, { code: 'unavailable', message: /^GET http:.*\/things\/1\/blob/ });
});

test('What a call is for is asked at each call, and goes with it', async (t) => {
  await using peer = await openPeer((response) => response.writeHead(204).end());
  let calls = 0;
  const about = () => ({ baggage: `call=${++calls}`, accept: 'nothing' });
  const client = createClient(contract, { url: peer.url, about });
  for (const id of ['1', '2']) await client.drop({ params: { id } });
  t.deepEqual(
    peer.seen.map(({ headers }) => headers.baggage),
    ['call=1', 'call=2'],
  );
  t.regex(peer.seen[0]?.headers.accept ?? '', /json/, 'the contract has the last word');
});

test('What was refused as too much is sent again once the time is over', async (t) => {
  let asked = 0;
  await using peer = await openPeer((response) => {
    asked += 1;
    if (asked > 2) return void response.end(N1);
    response.writeHead(429, { 'retry-after': '1', 'content-type': 'application/problem+json' });
    response.end('{"code":"rate_limited","detail":"wait"}');
  });
  const client = createClient(contract, { url: peer.url });
  const from = performance.now();
  t.deepEqual(await client.change({ params: { id: 'a' }, query: {}, headers: {}, body: { name: 'x' } }), {
    n: 1,
  });
  t.deepEqual(
    peer.seen.map(({ body }) => body),
    Array.from({ length: 3 }, () => '{"name":"x"}'),
  );
  t.true(performance.now() - from > 1900, 'it has waited twice');
});

test('A wait that is too long, or that nobody tells, is the caller’s', async (t) => {
  for (const headers of [{ 'retry-after': '3600' }, {}]) {
    await using peer = await openPeer((response) => response.writeHead(429, headers).end());
    const client = createClient(contract, { url: peer.url });
    await t.throwsAsync(client.drop({ params: { id: 'a' } }), { code: 'rate_limited' });
    t.is(peer.seen.length, 1);
  }
});

test('Whoever waits to be let in may give up', async (t) => {
  const stop = new AbortController();
  await using peer = await openPeer((response) => {
    response.writeHead(429, { 'retry-after': '10' }).end();
    setImmediate(() => stop.abort(new Error('enough')));
  });
  const client = createClient(contract, { url: peer.url });
  await t.throwsAsync(client.drop({ params: { id: 'a' } }, { signal: stop.signal }), { message: 'enough' });
});

test('Of an answer that nobody reads the status alone counts: any 2xx is well, whatever it says and though it never ends', async (t) => {
  for (const [status, body] of [
    [200, ''],
    [201, '<html>'],
    [204, ''],
    [200, '{"n":"x"}'],
    [200, undefined],
  ] as const) {
    await using peer = await openPeer((response) => {
      response.writeHead(status);
      if (body === undefined) response.write('and on');
      else response.end(body);
    });
    await t.notThrowsAsync(createClient(contract, { url: peer.url }).tell({ params: { id: '1' } }));
  }
  await using peer = await openPeer((response) =>
    response.writeHead(404).end('{"Error":"Page does not exist"}'),
  );
  const refused = createClient(contract, { url: peer.url }).tell({ params: { id: '1' } });
  await t.throwsAsync(refused, { code: 'not_found', message: 'Page does not exist' });
});

test('Each callback is heard with any 2xx, whatever the orchestrator says besides, and not with anything else', async (t) => {
  const uuid = 'a';
  const answers: [number, string][] = [
    ...([200, 202, 204] as const).map((status): [number, string] => [status, '']),
    [200, '<html>heard</html>'],
    [302, ''],
    [400, 'wrong key'],
    [503, ''],
  ];
  for (const [status, body] of answers) {
    await using peer = await openPeer((response) => response.writeHead(status).end(body));
    const { setWorker, learnDone, predDone } = orchestratorClient({ url: peer.url });
    const calls = [
      async () => await setWorker({ params: { type: 'learnuplet', uuid }, body: { worker: 'w' } }),
      async () => await learnDone({ params: { uuid }, body: { status: 'failed' } }),
      async () => await predDone({ params: { uuid }, body: { status: 'failed' } }),
    ];
    for (const call of calls)
      await (status < 300 ? t.notThrowsAsync(call) : t.throwsAsync(call, undefined, `${status}`));
  }
});
