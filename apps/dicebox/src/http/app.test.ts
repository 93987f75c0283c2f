import test from 'ava';
import { KEY, openDicebox, VERSION_OF } from '../testing/open-dicebox.ts';

const of2017 = { 'API-VERSION': VERSION_OF['2017'] };
const batch = { batch_size: 1, noise: 0 };

/** A request that passes the door: it fails behind it, or with its body. */
const KEYED = [
  ['GET', '/api/sensory/category', VERSION_OF['2019']],
  ['POST', '/api/sensory/store', VERSION_OF['2017']],
  ['POST', '/api/sensory/store', VERSION_OF['2019']],
  ['POST', '/api/sensory/request', VERSION_OF['2017']],
  ['POST', '/api/sensory/request', VERSION_OF['2019']],
  ['POST', '/api/sensory/batch', VERSION_OF['2017']],
  ['POST', '/api/sensory/batch', VERSION_OF['2019']],
  ['POST', '/api/sensory/poll', VERSION_OF['2017']],
  ['POST', '/api/sensory/poll', VERSION_OF['2019']],
  ['POST', '/api/train/request', VERSION_OF['2017']],
  ['GET', '/api/train/request', VERSION_OF['2019']],
  ['GET', '/api/categories', VERSION_OF['2017']],
  ['GET', '/api/category', VERSION_OF['2019']],
  ['GET', '/api/categories', VERSION_OF['2019']],
  ['POST', '/api/classify', VERSION_OF['2017']],
  ['POST', '/api/classify', VERSION_OF['2019']],
] as const;

test('Each route of both dialects asks for the key first: wrong, it is 401 in that of 2017, 403 in that of 2019; missing, 400', async (t) => {
  await using dicebox = await openDicebox();
  for (const [method, path, version] of KEYED) {
    const wrong = await dicebox.ask(path, {
      method,
      headers: { 'API-ACCESS-KEY': 'wrong', 'API-VERSION': version },
    });
    t.is(wrong.status, version === VERSION_OF['2017'] ? 401 : 403, `${method} ${path} ${version}`);
    const missing = await dicebox.ask(path, {
      method,
      headers: { 'API-ACCESS-KEY': undefined, 'API-VERSION': version },
    });
    t.is(missing.status, 400, `${method} ${path} ${version}`);
  }
});

test('Each route of both dialects asks for a version that is spoken, after the key', async (t) => {
  await using dicebox = await openDicebox();
  for (const [method, path, version] of KEYED.filter(([, , version]) => version === VERSION_OF['2019'])) {
    for (const asked of ['0.3', '', undefined]) {
      const refused = await dicebox.ask(path, { method, headers: { 'API-VERSION': asked } });
      t.is(refused.status, 400, `${method} ${path} ${asked}`);
      const headers = { 'API-VERSION': asked, 'API-ACCESS-KEY': 'wrong' };
      t.is((await dicebox.ask(path, { method, headers })).status, 403, `${method} ${path} ${version}`);
    }
  }
});

test('A body that is missing, empty, not JSON, or not said to be JSON is 400', async (t) => {
  await using dicebox = await openDicebox();
  for (const version of Object.values(VERSION_OF)) {
    for (const [method, path] of KEYED.filter((route) => route[0] === 'POST' && route[2] === version)) {
      if (path === '/api/train/request') continue;
      const headers = { 'API-VERSION': version };
      const type = { ...headers, 'content-type': 'text/plain' };
      const none = { ...headers, 'content-type': undefined };
      for (const options of [
        { method, headers },
        { method, headers, body: '' },
        { method, headers, body: '{' },
        { method, headers, body: '[]' },
        { method, headers: type, body: batch },
        { method, headers: none, body: new Blob(['{}']) },
      ]) {
        const refused = await dicebox.ask(path, options);
        t.is(refused.status, 400, `${path} ${JSON.stringify(options)}`);
        t.regex(refused.headers.get('content-type') ?? '', /^text\/html/);
      }
    }
  }
});

test('A route that the dialect does not have is 404 as JSON, a wrong method 405 as a page', async (t) => {
  await using dicebox = await openDicebox();
  // At / classification has a page, where it is served.
  await using pictures = await openDicebox({ serve: ['sensory', 'training'] });
  for (const [asked, path, headers] of [
    [dicebox, '/api/sensory/category', of2017],
    [dicebox, '/api/nowhere', {}],
    [pictures, '/', {}],
  ] as const) {
    const none = await asked.ask(path, { headers });
    t.is(none.status, 404, path);
    t.is(none.headers.get('content-type'), 'application/json');
    t.is(await none.text(), '{"error":"Not found"}');
  }
  for (const [method, path, headers] of [
    ['GET', '/api/sensory/store', of2017],
    ['GET', '/api/train/request', of2017],
    ['POST', '/api/train/request', {}],
    ['PUT', '/api/classify', {}],
  ] as const) {
    const wrong = await dicebox.ask(path, { method, headers });
    t.is(wrong.status, 405, path);
    t.regex(wrong.headers.get('allow') ?? '', /^(GET|POST)$/);
    t.regex(await wrong.text(), /<title>405 Method Not Allowed<\/title>/);
  }
});

test('An error is a page that says what was wrong, with nothing of the caller in it as markup', async (t) => {
  await using dicebox = await openDicebox();
  const refused = await dicebox.ask('/api/sensory/batch', { body: { ...batch, noise: 2 } });
  t.is(refused.status, 400);
  t.is(refused.headers.get('content-type'), 'text/html; charset=utf-8');
  t.regex(await refused.text(), /<h1>Bad Request<\/h1>\n<p>body.noise: /);
  const markup = await dicebox.ask('/api/sensory/poll', { body: '<script>' });
  t.false((await markup.text()).includes('<script>'));
});

test('Health and version are open to everybody, in both dialects', async (t) => {
  await using dicebox = await openDicebox({ serve: ['classification'] });
  for (const [dialect, status] of [
    ['2017', 201],
    ['2019', 200],
  ] as const) {
    const headers = { 'API-ACCESS-KEY': undefined, 'API-VERSION': VERSION_OF[dialect] };
    const health = await dicebox.ask('/health/plain', { headers });
    t.deepEqual([health.status, await health.text()], [status, 'true']);
    const version = await dicebox.ask('/api/version', { headers });
    t.deepEqual([version.status, await version.json()], [status, { version: '0.3.0' }]);
  }
  const none = await dicebox.ask('/health/plain', { headers: { 'API-VERSION': undefined } });
  t.is(none.status, 200);
});

test('The sensory service tells its own version, and that of the API beside it', async (t) => {
  await using dicebox = await openDicebox({ apiVersion: '0.4.0' });
  const told = await (await dicebox.ask('/api/version')).json();
  t.deepEqual(told, { version: '0.1.0', 'dicebox lib version': '0.4.0' });
  const older = await (await dicebox.ask('/api/version', { headers: of2017 })).json();
  t.deepEqual(older, { version: '0.4.0' });
});

test('Who asks for no version is answered in the dialect of the deployment', async (t) => {
  await using dicebox = await openDicebox({ apiVersion: '0.2.2' });
  const headers = { 'API-VERSION': undefined };
  t.is((await dicebox.ask('/health/plain', { headers })).status, 201);
  t.is(
    (await dicebox.ask('/api/classify', { body: {}, headers: { ...headers, 'API-ACCESS-KEY': 'x' } })).status,
    401,
  );
});

test('Only what is to be served is there', async (t) => {
  await using dicebox = await openDicebox({ serve: ['sensory', 'training'] });
  t.is((await dicebox.ask('/api/category')).status, 404);
  t.not((await dicebox.ask('/api/sensory/category')).status, 404);
});

test('A credential of the file is a key as well, as its name and its secret with a dot between', async (t) => {
  await using dicebox = await openDicebox({
    authenticate: async (field) =>
      field === 'Bearer ann.secret' ? { name: 'ann', roles: ['reader'] } : null,
  });
  const status = async (key: string) =>
    (await dicebox.ask('/api/category', { headers: { 'API-ACCESS-KEY': key } })).status;
  t.not(await status('ann.secret'), 403);
  t.is(await status('ann.wrong'), 403);
  t.is(await status(KEY.slice(1)), 403);
});

test('Pages of any origin may call with the key, as those of localhost did', async (t) => {
  await using dicebox = await openDicebox();
  const origin = 'http://localhost:3000';
  const asked = await dicebox.ask('/api/classify', {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'api-access-key,api-version,content-type',
    },
  });
  t.is(asked.headers.get('access-control-allow-origin'), origin);
  t.regex(asked.headers.get('access-control-allow-headers') ?? '', /api-access-key/i);
  for (const path of ['/health/plain', '/api/category', '/api/nowhere'])
    t.is(
      (await dicebox.ask(path, { headers: { origin } })).headers.get('access-control-allow-origin'),
      origin,
      path,
    );
});

test('What every service has is there in both dialects, with errors as everywhere', async (t) => {
  await using dicebox = await openDicebox({
    compute: {
      getQueue: async () => {
        throw new Error('not asked');
      },
    },
  });
  for (const headers of [{}, of2017]) {
    t.is((await dicebox.ask('/health', { headers })).status, 200);
    const ready = (await (await dicebox.ask('/ready', { headers })).json()) as {
      dependencies: { name: string }[];
    };
    t.deepEqual(
      ready.dependencies.slice(0, 2).map(({ name }) => name),
      ['database', 'compute'],
    );
    const none = await dicebox.ask('/v1/nowhere', { headers });
    t.regex(none.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const spec = (await (await dicebox.ask('/openapi.json', { headers })).json()) as { paths: object };
    t.true('/api/classify' in spec.paths);
  }
});
