import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { computeClient, orderLines } from '@morpheo/client';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { ADMIN, openTestService } from '../testing/open-test-service.ts';

/** What the original orchestrator really posts: no Content-Type, nulls, keys that nobody knows. */
function posted(members: Record<string, unknown> = {}): string {
  return JSON.stringify({
    uuid: randomUUID(),
    problem: '0f2f4a8e-6f0b-4a55-8a52-0f6f4dd2e001',
    workflow: '7d4a1c7e-6c1b-4c55-9d7a-5d9b0a5be002',
    algo: 'a1b6e2de-3a1f-4d6c-bb1e-6a7a51c7e003',
    model_start: 'a1b6e2de-3a1f-4d6c-bb1e-6a7a51c7e003',
    model_end: 'f3b0c4d2-9a52-4c0e-8d56-0f1c2b3ae004',
    train_data: ['11111111-1111-4111-8111-111111111111'],
    test_data: ['22222222-2222-4222-8222-222222222222'],
    worker: null,
    perf: null,
    train_perf: null,
    test_perf: null,
    status: 'todo',
    rank: 0,
    timestamp_creation: 1_508_514_453,
    timestamp_done: null,
    ...members,
  });
}

async function post(url: string, body: string, headers: Record<string, string> = {}) {
  const answer = await fetch(url, { method: 'POST', body: Buffer.from(body), headers });
  const type = answer.headers.get('content-type');
  return { status: answer.status, type, body: (await answer.json()) as Record<string, unknown> };
}

test('An order as the original orchestrator posts it is accepted', async (t) => {
  await using service = await openTestService();
  t.deepEqual(await post(`${service.url}/learn`, posted()), {
    status: 202,
    type: 'application/json; charset=UTF-8',
    body: { message: 'Learn-uplet ingested accordingly' },
  });
});

test('A prediction as the original orchestrator posts it is accepted', async (t) => {
  await using service = await openTestService();
  const body = `{"uuid":"0a5b7c1d-2e3f-4a5b-8c7d-9e0f1a2b3c05","problem":"0f2f4a8e-6f0b-4a55-8a52-0f6f4dd2e001","workflow":"7d4a1c7e-6c1b-4c55-9d7a-5d9b0a5be002","model":"f3b0c4d2-9a52-4c0e-8d56-0f1c2b3ae004","data":"33333333-3333-4333-8333-333333333333","status":"todo","worker":null,"timestamp_request":1508515000,"timestamp_done":null,"prediction_storage_uuid":null} trailing`;
  t.like(await post(`${service.url}/pred`, body), { status: 202, body: { message: 'Pred-uplet ingested' } });
});

const REFUSED: readonly [string, string, RegExp][] = [
  ['no JSON', 'x', /^Error decoding body to JSON: /],
  ['an empty body', '', /^Error decoding body to JSON: EOF$/],
  [
    'a problem that is no UUID',
    posted({ problem: '' }),
    /^Error decoding body to JSON: uuid: UUID string too short: $/,
  ],
  ['a rank that is a text', posted({ rank: '3' }), /^Error decoding body to JSON: /],
  ['a rank that is a fraction', posted({ rank: 1.5 }), /^Error decoding body to JSON: /],
  ['a list in place of an order', '[]', /^Error decoding body to JSON: /],
  ['a body of null', 'null', /^Invalid learn-uplet: id field is required$/],
  ['an unknown status', posted({ status: 'xxx' }), /^Invalid learn-uplet: status field ain't valid/],
  [
    'a nil UUID in a list',
    posted({ train_data: [null] }),
    /^Invalid learn-uplet: Nil UUID in train_data field at pos 0$/,
  ],
];

for (const [what, body, error] of REFUSED) {
  test(`${what} is refused with 400 and the original's text`, async (t) => {
    await using service = await openTestService();
    const answer = await post(`${service.url}/learn`, body);
    t.is(answer.status, 400);
    t.regex(String(answer.body.error), error);
    t.is(answer.body.detail, answer.body.error);
  });
}

test('A body over the limit is refused, and the service goes on', async (t) => {
  await using service = await openTestService();
  const huge = posted({ note: 'x'.repeat(3 * 2 ** 20) });
  t.is((await post(`${service.url}/learn`, huge)).status, 413);
  t.is((await post(`${service.url}/learn`, posted())).status, 202);
});

test('The index and the health of the original are there', async (t) => {
  await using service = await openTestService();
  t.deepEqual(await (await fetch(service.url)).json(), ['/', '/health', '/learn', '/pred']);
  t.deepEqual(await (await fetch(`${service.url}/health`)).json(), { status: 'ok' });
});

test('A classic path by a wrong method is 404, and a trailing slash is led back', async (t) => {
  await using service = await openTestService();
  t.is((await fetch(`${service.url}/learn`)).status, 404);
  const slash = await fetch(`${service.url}/learn/`, { method: 'POST', body: '{}', redirect: 'manual' });
  t.is(slash.status, 307);
  t.is(slash.headers.get('location'), '/learn');
});

test('The same order again is 202, and another body under its uuid is 409', async (t) => {
  await using service = await openTestService();
  const body = posted();
  t.is((await post(`${service.url}/learn`, body)).status, 202);
  t.is((await post(`${service.url}/learn`, body)).status, 202);
  const other = JSON.stringify({ ...(JSON.parse(body) as object), rank: 4 });
  t.like(await post(`${service.url}/learn`, other), { status: 409, body: { code: 'conflict' } });
});

test('Only known callers see /v1, and none without its role changes anything', async (t) => {
  await using service = await openTestService();
  t.is((await fetch(`${service.url}/v1/orders`)).status, 401);
  const wrong = computeClient({ url: service.url, credentials: { ...ADMIN, secret: 'wrong' } });
  await t.throwsAsync(wrong.listOrders({ query: {} }), { code: 'unauthenticated' });
  const admin = computeClient({ url: service.url, credentials: ADMIN });
  t.is((await admin.listOrders({ query: {} })).total, 0);
});

test('Where the intake is not anonymous, an order needs credentials', async (t) => {
  await using service = await openTestService(false);
  t.is((await fetch(`${service.url}/learn`, { method: 'POST', body: posted() })).status, 401);
  const basic = { authorization: `Basic ${btoa(`${ADMIN.name}:${ADMIN.secret}`)}` };
  t.is((await post(`${service.url}/learn`, posted(), basic)).status, 202);
});

test('No page posts an order through a name of its own that it leads here', async (t) => {
  const postedAs = async (url: string, host: string) => {
    const asked = request(`${url}/learn`, { method: 'POST', headers: { host } }).end(posted());
    const [{ statusCode }] = (await once(asked, 'response')) as [IncomingMessage];
    return statusCode;
  };
  await using loopback = await openTestService();
  t.is(await postedAs(loopback.url, 'rebound.example'), 403);
  t.is(await postedAs(loopback.url, 'localhost'), 202);
  await using beyond = await openTestService(true, { host: '0.0.0.0', hosts: ['compute.example'] });
  t.is(await postedAs(beyond.url, 'rebound.example'), 403);
  t.is(await postedAs(beyond.url, 'compute.example'), 202);
});

test('The history comes over HTTP as events', async (t) => {
  await using service = await openTestService();
  const admin = computeClient({ url: service.url, credentials: ADMIN });
  const uuid = randomUUID();
  await post(`${service.url}/learn`, posted({ uuid }));
  await eventually(t, async (t) => t.is((await admin.getOrder({ params: { id: uuid } })).status, 'todo'));
  await admin.cancelOrder({ params: { id: uuid } });
  const history = await Array.fromAsync(await admin.orderEvents({ params: { id: uuid }, headers: {} }));
  t.deepEqual(
    history.map((event) => [event.id, event.event]),
    [
      ['1', 'accepted'],
      ['2', 'checked'],
      ['3', 'cancelled'],
    ],
  );
});

test('A batch of orders travels over HTTP, and is answered line by line', async (t) => {
  await using service = await openTestService();
  const admin = computeClient({ url: service.url, credentials: ADMIN });
  const orders = Array.from({ length: 700 }, () => ({ kind: 'learn', uplet: JSON.parse(posted()) }));
  const lines = [...orders.map((order) => JSON.stringify(order)), 'no JSON', JSON.stringify(orders[0])];
  const answers = await Array.fromAsync(orderLines(admin, lines));
  t.deepEqual(
    answers.map(({ uuid }) => uuid),
    [...orders.map(({ uplet }) => uplet.uuid), undefined, orders[0]?.uplet.uuid],
  );
  t.like(answers[700], { line: 701, status: 400, code: 'invalid_json' });
  t.is((await admin.listOrders({ query: {} })).total, 700);
});

test('The OpenAPI document names every route of the contract', async (t) => {
  await using service = await openTestService();
  const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as {
    paths: Record<string, unknown>;
  };
  for (const path of [
    '/learn',
    '/pred',
    '/v1/orders/batch',
    '/v1/orders/{id}',
    '/v1/orders/{id}/events',
    '/v1/workers/{worker}/claim',
  ]) {
    t.true(path in document.paths, path);
  }
});
