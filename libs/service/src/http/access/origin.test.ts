import test from 'ava';
import { createMetrics } from '../../metrics/index.ts';
import { cheapHash } from '../testing/cheap-hash.ts';
import { openSmallService, type SmallOptions } from '../testing/small-service.ts';
import { basic } from '../testing/talk.ts';
import { credentials } from './credentials.ts';

const authenticate = credentials([
  { name: 'up', roles: ['uploader', 'reader'], secretHash: cheapHash('load') },
]);
const known = basic('up', 'load');
const EVIL = 'https://evil.example';
const OURS = 'https://dashboard.example';

const status = async (options: SmallOptions, path: string, init: RequestInit) => {
  await using service = await openSmallService(options);
  const response = await fetch(`${service.url}${path}`, init);
  await response.text();
  return response.status;
};

test('A page of another site cannot post orders to the open intake', async (t) => {
  const order = (headers: Record<string, string>) => ({ method: 'POST', body: '{}', headers });
  const options = { authenticate, anonymousIntake: true };
  t.is(await status(options, '/order', order({})), 202);
  t.is(await status(options, '/order', order({ origin: EVIL })), 403);
  t.is(await status(options, '/order', order({ origin: 'null' })), 403);
  t.is(await status(options, '/order', order({ 'sec-fetch-site': 'cross-site' })), 403);
  t.is(await status({ ...options, origins: ['*'] }, '/order', order({ origin: EVIL })), 403);
  t.is(await status({ ...options, origins: [OURS] }, '/order', order({ origin: OURS })), 202);
});

test("A service's own page may post orders", async (t) => {
  await using service = await openSmallService({ anonymousIntake: true });
  const init = { method: 'POST', body: '{}', headers: { origin: service.url } };
  t.is((await fetch(`${service.url}/order`, init)).status, 202);
});

test('A page of another site reads nothing where nobody is asked for credentials', async (t) => {
  const get = (origin: string) => ({ headers: { origin } });
  t.is(await status({ authenticate: null, cors: true }, '/data/x', get(EVIL)), 403);
  t.is(await status({ authenticate: null, cors: true, origins: [OURS] }, '/data/x', get(OURS)), 200);
  t.is(await status({ authenticate: null, cors: true, origins: ['*'] }, '/data/x', get(EVIL)), 200);
});

test('A form of another site cannot use the credentials of a browser', async (t) => {
  const form = (
    origin: string,
    headers: Record<string, string>,
    type = 'multipart/form-data; boundary=x',
  ) => ({
    method: 'POST',
    body: 'x',
    headers: { origin, 'content-type': type, ...headers },
  });
  const options = { authenticate, cors: true };
  t.is(await status(options, '/data', form(EVIL, known)), 403);
  t.is(await status(options, '/data', form(EVIL, { authorization: 'Bearer up.load' })), 201);
  t.is(await status(options, '/data', form(EVIL, known, 'application/gzip')), 201);
  t.is(await status({ ...options, origins: [OURS] }, '/data', form(OURS, known)), 201);
  t.is(await status({ ...options, origins: ['*'] }, '/data', form(EVIL, known)), 201);
});

test('Only listed origins may use credentials that the browser keeps', async (t) => {
  for (const [origins, origin, allowed] of [
    [[], EVIL, null],
    [[OURS], EVIL, null],
    [[OURS], OURS, 'true'],
    [['*'], EVIL, 'true'],
  ] as const) {
    await using service = await openSmallService({ authenticate, cors: true, origins });
    const { headers } = await fetch(`${service.url}/data/x`, { headers: { origin, ...known } });
    t.is(headers.get('access-control-allow-origin'), origin);
    t.is(headers.get('access-control-allow-credentials'), allowed, `${origins} ${origin}`);
    t.regex(headers.get('vary') ?? '', /Origin/);
  }
});

test('A page is told beforehand what it may send', async (t) => {
  await using service = await openSmallService({ authenticate, cors: true });
  const response = await fetch(`${service.url}/v1/things/a`, {
    method: 'OPTIONS',
    headers: {
      origin: EVIL,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'authorization,content-type',
    },
  });
  t.is(response.status, 204);
  t.is(response.headers.get('access-control-allow-headers'), 'authorization,content-type');
  t.regex(response.headers.get('access-control-allow-methods') ?? '', /PUT/);
  t.is(response.headers.get('access-control-allow-credentials'), null);
});

test('Errors are readable for pages as well', async (t) => {
  await using service = await openSmallService({ authenticate, cors: true });
  const { status: refused, headers } = await fetch(`${service.url}/data/x`, { headers: { origin: EVIL } });
  t.is(refused, 401);
  t.is(headers.get('access-control-allow-origin'), EVIL);
});

test('What a service tells of itself is for its own pages and for listed origins alone', async (t) => {
  for (const [origins, origin, allowed] of [
    [[], EVIL, null],
    [['*'], EVIL, null],
    [[OURS], EVIL, null],
    [[OURS], OURS, OURS],
  ] as const) {
    await using service = await openSmallService({ cors: true, origins, metrics: createMetrics() });
    for (const path of ['/metrics', '/ready', '/openapi.json', '/docs', '/docs/swagger-ui.css']) {
      const { status: found, headers } = await fetch(service.url + path, { headers: { origin } });
      t.is(found, 200, path);
      t.is(headers.get('access-control-allow-origin'), allowed, `${path} ${origins} ${origin}`);
      t.regex(headers.get('vary') ?? '', /Origin/, path);
      const asked = { origin, 'access-control-request-method': 'GET' };
      const preflight = await fetch(service.url + path, { method: 'OPTIONS', headers: asked });
      t.is(preflight.headers.get('access-control-allow-origin'), allowed, path);
    }
    const { headers } = await fetch(`${service.url}/health`, { headers: { origin } });
    t.is(headers.get('access-control-allow-origin'), origin);
  }
});

test('Without CORS no page of another origin reads anything', async (t) => {
  await using service = await openSmallService({ authenticate });
  const { headers } = await fetch(`${service.url}/data/x`, { headers: { origin: EVIL, ...known } });
  t.is(headers.get('access-control-allow-origin'), null);
});
