import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import test from 'ava';
import { openSmallService } from '../testing/small-service.ts';
import { until } from '../testing/until.ts';

test('A call reaches its handler with all parts parsed', async (t) => {
  await using service = await openSmallService();
  const response = await fetch(`${service.url}/v1/things/a%20b?limit=7&other=x`, {
    method: 'PUT',
    headers: { 'if-match': '"1"', 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'näme', size: 1 }),
  });
  t.is(response.status, 200);
  t.is(response.headers.get('content-type'), 'application/json');
  t.deepEqual(await response.json(), { id: 'a b', name: 'näme', limit: 7, match: '"1"' });
});

test('Misfits of each part name their place', async (t) => {
  await using service = await openSmallService();
  const put = async (path: string, body: unknown, more = {}) => {
    const headers = { 'content-type': 'application/json', ...more };
    const init = { method: 'PUT', headers, body: JSON.stringify(body) };
    return (await (await fetch(`${service.url}${path}`, init)).json()) as Record<string, unknown>;
  };
  const good = { name: 'x', size: 1 };
  const long = 'x'.repeat(21);
  t.like(await put(`/v1/things/${long}`, good), { code: 'invalid_request', status: 400 });
  t.regex(String((await put(`/v1/things/${long}`, good)).detail), /^params\.id: /);
  t.regex(String((await put('/v1/things/a?limit=0', good)).detail), /^query\.limit: /);
  t.regex(String((await put('/v1/things/a?limit=1&limit=2', good)).detail), /^query\.limit: /);
  t.regex(
    String((await put('/v1/things/a', good, { 'if-match': '"123456"' })).detail),
    /^headers\.if-match: /,
  );
  const misfit = await put('/v1/things/a', { name: 3 });
  t.regex(String(misfit.detail), /^body\.name: .*; body\.size: /);
  t.is((misfit.issues as unknown[]).length, 2);
});

test('A route that is chosen by an unknown word does not exist', async (t) => {
  await using service = await openSmallService({ authenticate: async () => null });
  t.is((await fetch(`${service.url}/nothing`, { method: 'POST', body: 'x' })).status, 404);
  t.is((await fetch(`${service.url}/data`, { method: 'POST', body: 'x' })).status, 401);
});

test('A path that is not written plainly is refused before any route is looked for', async (t) => {
  await using service = await openSmallService({ authenticate: async () => null });
  const statusOf = async (path: string) => (await fetch(`${service.url}${path}`)).status;
  for (const path of [
    ...['/%64ata/x', '/d%41ta/x', '/data/a%2eb', '/data/a%2Fb', '/data/a%5cb', '/data/a%00b', '/data/%7E'],
    ...[
      '/%',
      '/data/%zz',
      '/data/%4',
      '/data/%ff%fe',
      '/%68ealth',
      '/data/%31',
      '/data/a%2Db',
      '/data/a%5Fb',
    ],
  ]) {
    t.is(await statusOf(path), 400, path);
  }
  for (const path of ['/data/a%20b', '/data/n%C3%A4me', '/data/a%3Ab', '/data/%2525', '/data/50%25']) {
    t.is(await statusOf(path), 401, path);
  }
});

test('A request target that is no plain path of this host is refused', async (t) => {
  await using service = await openSmallService({ authenticate: async () => null });
  const { hostname, port, host } = new URL(service.url);
  const statusOf = async (path: string) => {
    const asked = request({ hostname, port, path, headers: { host } }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  for (const path of [
    ...[
      'http://?x/data/a',
      'http://[/data/a',
      'x://?',
      'http://evil.example/data/a',
      'ftp://y/data/a',
      'data/a',
    ],
    ...[
      '/data\\a',
      '/data/a#b',
      `http://${host}/data\\a`,
      `http://${host}\\data/a`,
      `http://u@${host}/data/a`,
    ],
    ...[`http://${host}/d%61ta/a`, `http:/${host}/data/a`],
  ]) {
    t.is(await statusOf(path), 400, path);
  }
  for (const path of ['/data/a', '/data/a?b#c\\d', `http://${host}/data/a`, `HTTP://${host}/data/a`]) {
    t.is(await statusOf(path), 401, path);
  }
});

test('Unknown paths and wrong methods of the originals are 404', async (t) => {
  await using service = await openSmallService();
  for (const [method, path] of [
    ['GET', '/order'],
    ['HEAD', '/order'],
    ['OPTIONS', '/order'],
    ['HEAD', '/'],
    ['GET', '/a/b/c'],
    ['GET', '/ORDER'],
    ['POST', '/health'],
  ] as const) {
    const response = await fetch(`${service.url}${path}`, { method });
    t.is(response.status, 404, `${method} ${path}`);
    t.is(await response.text(), method === 'HEAD' ? '' : 'Not Found');
  }
});

test('A client that reads JSON is told of an unknown path in JSON', async (t) => {
  await using service = await openSmallService();
  const response = await fetch(`${service.url}/a/b/c`, { headers: { accept: 'application/json' } });
  t.is(response.headers.get('content-type'), 'application/problem+json');
  t.like(await response.json(), { code: 'not_found', error: 'Not Found' });
});

test('A wrong method under /v1 is 405 and names the right ones', async (t) => {
  await using service = await openSmallService();
  const response = await fetch(`${service.url}/v1/things/a`, { method: 'PATCH' });
  t.is(response.status, 405);
  t.is(response.headers.get('allow'), 'PUT, DELETE');
  t.like(await response.json(), { code: 'method_not_allowed' });
});

test('A wrong method of a page that every service has is 405, and of a page of the originals 404', async (t) => {
  await using service = await openSmallService();
  for (const path of ['/ready', '/openapi.json', '/docs', '/docs/start.js']) {
    const response = await fetch(`${service.url}${path}`, { method: 'PUT' });
    t.is(response.status, 405, path);
    t.is(response.headers.get('allow'), 'HEAD, GET');
    t.like(await response.json(), { code: 'method_not_allowed' });
  }
  t.is((await fetch(`${service.url}/health`, { method: 'PUT' })).status, 404);
});

test('A path of ours that is none is told in a problem body, to whoever asks', async (t) => {
  await using service = await openSmallService();
  // The last two have the form of a route of the originals, and are none.
  for (const path of ['/v1', '/v1/nothing/at/all', '/docs/nothing', '/metrics', '/v1/data']) {
    const response = await fetch(`${service.url}${path}`);
    t.is(response.status, 404, path);
    t.is(response.headers.get('content-type'), 'application/problem+json');
    t.like(await response.json(), { code: 'not_found' });
  }
});

test('A slash too many is redirected to the known path', async (t) => {
  await using service = await openSmallService();
  const to = async (method: string, path: string) => {
    const response = await fetch(`${service.url}${path}`, { method, redirect: 'manual' });
    return [response.status, response.headers.get('location')];
  };
  t.deepEqual(await to('POST', '/order/'), [307, '/order']);
  t.deepEqual(await to('GET', '/data/x/?a=b'), [301, '/data/x?a=b']);
  t.deepEqual(await to('GET', '/order/'), [404, null]);
  t.deepEqual(await to('POST', '/nothing/'), [404, null]);
  t.deepEqual(await to('GET', '//evil.example/'), [404, null]);
  t.deepEqual(await to('GET', '/\\evil.example/'), [404, null]);
});

test('Every service tells that it lives, in the words of the originals', async (t) => {
  await using service = await openSmallService({ authenticate: async () => null });
  const response = await fetch(`${service.url}/health`);
  t.is(response.headers.get('content-type'), 'application/json; charset=UTF-8');
  t.is(await response.text(), '{"status":"ok"}');
  t.is((await fetch(`${service.url}/health`, { method: 'HEAD' })).status, 200);
});

test('A service is ready when each of its parts answers', async (t) => {
  const parts = new Set(['database']);
  const check = async () => {
    if (!parts.has('broker')) throw new Error('refused\nat some line');
  };
  await using service = await openSmallService({
    checks: { database: async () => undefined, broker: check },
  });
  const down = await fetch(`${service.url}/ready`);
  t.is(down.status, 503);
  t.is(down.headers.get('retry-after'), '1');
  t.deepEqual(await down.json(), {
    status: 'unavailable',
    dependencies: [
      { name: 'database', ok: true },
      { name: 'broker', ok: false, problem: 'refused' },
    ],
  });
  parts.add('broker');
  t.is((await fetch(`${service.url}/ready`)).status, 200);
});

test('A part that answers may have a warning, and stays ready', async (t) => {
  await using service = await openSmallService({
    checks: { database: async () => undefined, broker: async () => undefined },
    warnings: { broker: async () => 'It is old.', database: async () => undefined },
  });
  const answer = await fetch(`${service.url}/ready`);
  t.is(answer.status, 200);
  t.deepEqual(await answer.json(), {
    status: 'ok',
    dependencies: [
      { name: 'database', ok: true },
      { name: 'broker', ok: true, warning: 'It is old.' },
    ],
  });
});

test('A part that never answers is given up after two seconds', async (t) => {
  await using service = await openSmallService({ checks: { frozen: () => new Promise(() => undefined) } });
  const response = await fetch(`${service.url}/ready`);
  t.is(response.status, 503);
  t.regex(await response.text(), /did not answer within 2000 ms/);
});

test('Answers carry headers that keep a browser from guessing', async (t) => {
  await using service = await openSmallService();
  const { headers } = await fetch(`${service.url}/data/x`);
  t.is(headers.get('x-content-type-options'), 'nosniff');
  t.regex(headers.get('content-security-policy') ?? '', /sandbox/);
  t.is(headers.get('x-powered-by'), null);
});

test('A request keeps the id that it came with, in the log too', async (t) => {
  await using service = await openSmallService();
  const mine = await fetch(`${service.url}/`, { headers: { 'x-request-id': 'abc-1' } });
  t.is(mine.headers.get('x-request-id'), 'abc-1');
  const odd = await fetch(`${service.url}/`, { headers: { 'x-request-id': 'a b' } });
  t.regex(odd.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
  await until(() =>
    service.log.entries.some(({ request, route }) => request === 'abc-1' && route === 'index'),
  );
});
