import { randomBytes } from 'node:crypto';
import { CREDENTIAL_ROLES, type CredentialRole, type PinAnswer, type Ticket } from '@morpheo/common';
import { ticketKeysOf, ticketSigner, ticketVerifier } from '@morpheo/service/http';
import test from 'ava';
import { openTestService, type TestService } from '../testing/open-service.ts';
import { learnRequest, NAMED } from '../testing/pins.ts';
import { id } from '../testing/requests.ts';

const keys = ticketKeysOf(randomBytes(32).toString('base64'), 'here');
const sign = ticketSigner(keys);
const A_MINUTE = 60_000;

/** A service that knows tickets, with what an order names, and the order pinned. */
async function openWithPin(options: { readonly callers?: null } = {}) {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await openTestService({ ...options, tickets: ticketVerifier(keys) }));
  for (const [name, type] of Object.entries({
    problem: 'problem',
    algo: 'algo',
    train: 'data',
    test: 'data',
  })) {
    const { [name as keyof typeof NAMED]: uuid } = NAMED;
    const init = { method: 'POST', body: name, headers: { 'content-type': 'application/octet-stream' } };
    await service.call('uploader', `/${type}?uuid=${uuid}`, init);
  }
  const owner = options.callers === null ? 'anybody' : 'uploader';
  const answers = await Promise.all(
    [1, 2].map((number) => pinOverHttp(service, learnRequest(number, { owner }))),
  );
  const tickets = answers.map(ticketOf);
  const opened = stack.move();
  return { service, tickets, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

async function pinOverHttp(
  service: TestService,
  request: ReturnType<typeof learnRequest>,
): Promise<PinAnswer> {
  const body = JSON.stringify({ orders: [request] });
  const headers = { 'content-type': 'application/json' };
  const answer = await service.call('compute', '/v1/pins', { method: 'POST', body, headers });
  const { pins }: { pins: PinAnswer[] } = JSON.parse(await answer.text());
  const [pin] = pins;
  if (pin === undefined) throw new Error('There was no answer');
  return pin;
}

function ticketOf(answer: PinAnswer): Ticket {
  if (answer.outcome !== 'pinned') throw new Error(`It was ${JSON.stringify(answer)}`);
  const { order, pin, produces } = answer;
  return { order, attempt: 1, pin, produces };
}

async function ask(
  service: TestService,
  ticket: Ticket | undefined,
  path: string,
  init: RequestInit = {},
  expires = new Date(Date.now() + A_MINUTE),
): Promise<number> {
  if (ticket === undefined) throw new Error('There is no ticket');
  const headers = { authorization: `Bearer ${await sign(ticket, expires)}` };
  const answer = await service.call(null, path, { ...init, headers });
  await answer.body?.cancel();
  return answer.status;
}

test('A ticket opens what the order has pinned, and nothing else of storage', async (t) => {
  await using opened = await openWithPin();
  const { service, tickets } = opened;
  const [ticket] = tickets;
  const get = async (path: string, method = 'GET') => await ask(service, ticket, path, { method });
  for (const [name, type] of Object.entries({
    problem: 'problem',
    algo: 'algo',
    train: 'data',
    test: 'data',
  })) {
    const { [name as keyof typeof NAMED]: uuid } = NAMED;
    t.is(await get(`/${type}/${uuid}`), 200);
    t.is(await get(`/${type}/${uuid}/blob`), 200);
    t.is(await get(`/${type}/${uuid}/blob`, 'HEAD'), 200);
    t.is(await get(`/${type}/${id(9)}/blob`), 403);
    t.is(await get(`/${type}/${uuid}`, 'DELETE'), 403);
    t.is(await get(`/${type}`), 403);
  }
  for (const path of ['/v1/usage', '/v1/uploads'])
    t.is(await get(path, path === '/v1/usage' ? 'GET' : 'POST'), 403);
  t.is(await get('/model?algo=x', 'POST'), 403);
  t.is(await get('/v1/pins', 'POST'), 403);
});

test('An attempt stages the result of its own order alone, while its ticket is good', async (t) => {
  await using opened = await openWithPin();
  const { service, tickets } = opened;
  const [own, other] = tickets;
  const path = `/v1/results/${own?.order}/1?type=model&uuid=${own?.produces.uuid}`;
  const put = async (ticket: Ticket | undefined, expires?: Date) =>
    await ask(service, ticket, path, { method: 'PUT', body: 'model' }, expires);
  t.is(await put(other), 403, 'of another order');
  t.is(await put(own && { ...own, attempt: 2 }), 403, 'of another attempt');
  t.is(await put(own && { ...own, pin: 'b'.repeat(64) }), 409, 'of what was pinned before');
  t.is(await put(own, new Date(Date.now() - A_MINUTE)), 401, 'that is no longer good');
  t.is(await put(own), 201);
  for (const [method, place] of [
    ['POST', `/v1/results/${own?.order}/1/publish`],
    ['DELETE', `/v1/results/${own?.order}`],
  ] as const)
    t.is(await ask(service, own, place, { method }), 403, 'to publish or drop it is not the attempt’s');
});

test('Whoever has no ticket neither stages nor publishes nor drops a result, but compute-api and admins', async (t) => {
  await using opened = await openWithPin();
  const { service, tickets } = opened;
  const [own] = tickets;
  const query = `type=model&uuid=${own?.produces.uuid}&algo=${NAMED.algo}`;
  const asked: readonly (readonly [method: string, path: string])[] = [
    ['PUT', `/v1/results/${own?.order}/1?${query}`],
    ['POST', `/v1/results/${own?.order}/1/publish`],
    ['DELETE', `/v1/results/${own?.order}`],
  ];
  const statuses = async (role: CredentialRole) => {
    const answers = asked.map(([method, path]) =>
      service.call(role, path, { method, ...(method === 'PUT' && { body: 'model' }) }),
    );
    return (await Promise.all(answers)).map(({ status }) => status);
  };
  for (const role of CREDENTIAL_ROLES.filter((one) => one !== 'admin' && one !== 'compute'))
    t.deepEqual(await statuses(role), [403, 403, 403], role);
  t.deepEqual(await statuses('compute'), [403, 404, 204]);
  t.is(await ask(service, own, asked[0]?.[1] ?? '', { method: 'PUT', body: 'model' }), 409, 'dropped by now');
});

test('Orders are pinned by compute-api alone', async (t) => {
  await using service = await openTestService();
  for (const role of ['orchestrator', 'worker', 'uploader', 'reader'] as const) {
    const answer = await service.call(role, '/v1/pins', { method: 'POST', body: '{}' });
    t.is(answer.status, 403, role);
  }
});

test('Where nobody is asked for credentials, a ticket still opens what was pinned, as it was', async (t) => {
  await using opened = await openWithPin({ callers: null });
  const { service, tickets } = opened;
  await service.call(null, `/data/${NAMED.test}`, { method: 'DELETE' });
  t.is((await service.call(null, `/data/${NAMED.test}/blob`)).status, 404);
  t.is(await ask(service, tickets[0], `/data/${NAMED.test}/blob`), 200);
  t.is(await ask(service, tickets[0], `/data/${id(9)}/blob`), 403);
});
