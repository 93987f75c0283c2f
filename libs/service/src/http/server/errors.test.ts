import { type Api, defineContract, json, PlatformError } from '@morpheo/common';
import test from 'ava';
import { z } from 'zod';
import { silentLog } from '../../log/index.ts';
import { createHttpApp, listen } from '../index.ts';
import { openSmallService, type SmallApi } from '../testing/small-service.ts';

const failing = (error: unknown): Pick<SmallApi, 'order' | 'drop'> => ({
  order: () => Promise.reject(error),
  drop: () => Promise.reject(error),
});
const ORDER = { method: 'POST', body: '{}' };

test('An error of the platform is a problem body with its code and details', async (t) => {
  const error = new PlatformError('conflict', 'There is another a.', { details: { other: 'a' } });
  await using service = await openSmallService({ api: failing(error) });
  const response = await fetch(`${service.url}/v1/things/a`, { method: 'DELETE' });
  t.is(response.status, 409);
  t.is(response.headers.get('content-type'), 'application/problem+json');
  t.deepEqual(await response.json(), {
    type: 'urn:morpheo:error:conflict',
    title: 'Something else has this name',
    status: 409,
    detail: 'There is another a.',
    code: 'conflict',
    error: 'There is another a.',
    other: 'a',
  });
});

test('On routes of the originals the problem body has their content type', async (t) => {
  await using service = await openSmallService({ api: failing(new PlatformError('conflict', 'No.')) });
  const response = await fetch(`${service.url}/order`, ORDER);
  t.is(response.headers.get('content-type'), 'application/json; charset=UTF-8');
  t.like(await response.json(), { error: 'No.', code: 'conflict' });
});

test('Anything else thrown is a 500 that leaks nothing and is logged once', async (t) => {
  await using service = await openSmallService({ api: failing(new Error('the password is x')) });
  const response = await fetch(`${service.url}/v1/things/a`, {
    method: 'DELETE',
    headers: { 'x-request-id': 'r1' },
  });
  t.is(response.status, 500);
  const text = await response.text();
  t.false(text.includes('password'));
  t.like(JSON.parse(text), { code: 'internal', request_id: 'r1' });
  await service.drain();
  const lines = service.log.entries.filter(({ level }) => level === 'error');
  t.is(lines.length, 1);
  t.regex(JSON.stringify(lines[0]), /the password is x/);
});

test('An answer that does not fit the contract is a fault where it is checked', async (t) => {
  const order = async () => ({ uuid: 'x', rank: 0.5 });
  await using checked = await openSmallService({ api: { order } });
  t.is((await fetch(`${checked.url}/order`, ORDER)).status, 500);
  await using trusted = await openSmallService({ api: { order }, validateResponses: false });
  t.is((await fetch(`${trusted.url}/order`, ORDER)).status, 202);
});

test('What may succeed later says when to try again', async (t) => {
  for (const [code, after] of [
    ['unavailable', '1'],
    ['rate_limited', '1'],
    ['disk_full', '60'],
    ['conflict', null],
  ] as const) {
    await using service = await openSmallService({ api: failing(new PlatformError(code, 'x')) });
    const { headers } = await fetch(`${service.url}/order`, ORDER);
    t.is(headers.get('retry-after'), after, code);
  }
});

test('Missing credentials are told as the original storage tells them', async (t) => {
  await using service = await openSmallService({ authenticate: async () => null });
  const classic = await fetch(`${service.url}/data/x`);
  t.is(classic.headers.get('www-authenticate'), 'Basic realm="Authorization Required"');
  t.is(await classic.text(), '');
  const ours = await fetch(`${service.url}/v1/things/a`, { method: 'DELETE' });
  t.is(ours.headers.get('www-authenticate'), 'Basic realm="Authorization Required"');
  t.like(await ours.json(), { code: 'unauthenticated' });
});

const orchestratorLike = defineContract({
  title: 'x',
  description: 'x',
  errorKey: 'Error',
  realm: 'Authentication Required',
  endpoints: {
    list: {
      method: 'GET',
      path: '/:collection',
      summary: 'x',
      access: ['reader'],
      params: z.object({ collection: z.enum(['algo']) }),
      status: 200,
      response: json(z.object({})),
      errors: [],
      classic: true,
    },
  },
});

test('The orchestrator has words of its own', async (t) => {
  const api: Api<typeof orchestratorLike> = { list: async () => ({}) };
  const app = createHttpApp({
    contract: orchestratorLike,
    api,
    info: { name: 'x', version: '1' },
    checks: {},
    authenticate: async () => null,
    anonymousIntake: false,
    log: silentLog,
  });
  await using server = await listen(app, { host: '127.0.0.1', port: 0, log: silentLog });
  const unauthorized = await fetch(`${server.url}/algo`);
  t.is(unauthorized.headers.get('www-authenticate'), 'Basic realm="Authentication Required"');
  t.is(await unauthorized.text(), 'Unauthorized Access');
  const unknown = await fetch(`${server.url}/nothing`);
  t.is(unknown.status, 404);
  t.like(await unknown.json(), { Error: 'Page does not exist' });
});
