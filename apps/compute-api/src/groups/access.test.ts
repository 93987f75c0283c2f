import { computeClient } from '@morpheo/client';
import { type Api, type ComputeContract, PlatformError, type Role } from '@morpheo/common';
import { createCallers, hashSecret } from '@morpheo/service/http';
import test from 'ava';
import { openTestService } from '../testing/open-test-service.ts';
import { aLearnuplet } from '../testing/orders.ts';

const SECRET = 'one.a secret of some length';
const PEOPLE = { ann: 'orchestrator', bob: 'orchestrator', carl: 'reader', root: 'admin' } as const;
const SWEEP = { params: { name: 'sweep' }, query: {} };

/** A compute-api over HTTP, and a client of each person, and of an orchestrator of the credentials file. */
async function open() {
  const secretHash = await hashSecret(SECRET);
  const people = Object.entries(PEOPLE).map(([name, role]) => ({
    ...{ name, roles: [role] as Role[], secretHash, token: 'one' },
  }));
  const file = { name: 'orc', roles: ['orchestrator'] as Role[], secretHash };
  const service = await openTestService(false, { callers: createCallers([...people, file]) });
  const client = (name: string): Api<ComputeContract> =>
    computeClient({ url: service.url, credentials: { name, secret: SECRET } });
  const [ann, bob, carl, root, orc] = ['ann', 'bob', 'carl', 'root', 'orc'].map(client) as [
    Api<ComputeContract>,
    Api<ComputeContract>,
    Api<ComputeContract>,
    Api<ComputeContract>,
    Api<ComputeContract>,
  ];
  return {
    ...{ url: service.url, ann, bob, carl, root, orc },
    [Symbol.asyncDispose]: async () => await service[Symbol.asyncDispose](),
  };
}

/** What refuses a call, as far as it may differ between what is hidden and what is not there. */
async function refusalOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof PlatformError ? [error.status, error.code, error.message] : error;
}

test('To a stranger a group is not there, nor is anything of it changed', async (t) => {
  await using platform = await open();
  const { ann, bob } = platform;
  const body = aLearnuplet({ group: 'sweep' });
  await ann.learn({ body });
  const missing = [404, 'not_found', 'There is no group sweep of ann.'];
  const hers = { ...SWEEP, query: { owner: 'ann' } };
  t.deepEqual(await refusalOf(bob.getOrderGroup(hers)), missing);
  t.deepEqual(await refusalOf(bob.orderGroupEvents(hers)), missing);
  t.deepEqual(await refusalOf(bob.cancelOrderGroup(hers)), missing);
  t.deepEqual(await refusalOf(bob.retryOrderGroup({ ...hers, body: {} })), missing);
  const never = { params: { name: 'never' }, query: { owner: 'ann' } };
  t.deepEqual(await refusalOf(bob.getOrderGroup(never)), [
    404,
    'not_found',
    'There is no group never of ann.',
  ]);
  t.deepEqual(await refusalOf(bob.getOrderGroup(SWEEP)), [
    404,
    'not_found',
    'There is no group sweep of bob.',
  ]);
  const nothing = { items: [], total: 0 };
  t.deepEqual(await bob.listOrderGroups({ query: { owner: 'ann' } }), nothing);
  t.deepEqual(await bob.listOrders({ query: { owner: 'ann', group: 'sweep' } }), nothing);
  // Everybody known sees the order, but not that it is in a group.
  t.is((await bob.getOrder({ params: { id: body.uuid } })).group, undefined);
  t.is((await ann.getOrder({ params: { id: body.uuid } })).group, 'sweep');
  t.like(await ann.getOrderGroup(SWEEP), { orders: 1, counts: { cancelled: 0 } });
});

test('Nobody places orders in the group of somebody else: the same name is another group', async (t) => {
  await using platform = await open();
  const { ann, bob } = platform;
  await ann.learn({ body: aLearnuplet({ group: 'sweep' }) });
  t.like(await refusalOf(bob.learn({ body: aLearnuplet({ group: 'sweep', owner: 'ann' }) })), [
    403,
    'forbidden',
  ]);
  for (let n = 0; n < 2; n++) await bob.learn({ body: aLearnuplet({ group: 'sweep' }) });
  t.like(await ann.getOrderGroup(SWEEP), { owner: 'ann', orders: 1 });
  t.like(await bob.getOrderGroup(SWEEP), { owner: 'bob', orders: 2 });
  t.is((await bob.cancelOrderGroup(SWEEP)).asked?.by, 'bob');
  t.is((await ann.getOrderGroup(SWEEP)).asked, undefined);
});

test('Admins, and who orders for others, see and cancel the groups of all; who only reads cancels none', async (t) => {
  await using platform = await open();
  const { ann, carl, root, orc } = platform;
  await ann.learn({ body: aLearnuplet({ group: 'sweep' }) });
  const hers = { ...SWEEP, query: { owner: 'ann' } };
  for (const api of [root, orc]) {
    t.is((await api.getOrderGroup(hers)).owner, 'ann');
    t.is((await api.listOrderGroups({ query: { owner: 'ann' } })).total, 1);
    t.is((await api.listOrders({ query: { owner: 'ann', group: 'sweep' } })).items[0]?.group, 'sweep');
    t.is((await api.listOrders({ query: { group: 'sweep' } })).total, 0);
  }
  await orc.learn({ body: aLearnuplet({ group: 'sweep', owner: 'ann' }) });
  t.is((await ann.getOrderGroup(SWEEP)).orders, 2);
  t.like(await refusalOf(carl.cancelOrderGroup(hers)), [403, 'forbidden']);
  t.like(await refusalOf(carl.getOrderGroup(hers)), [404, 'not_found']);
  t.like((await root.cancelOrderGroup(hers)).asked, { by: 'root' });
});

test('A name that is none, and one without credentials, are refused', async (t) => {
  await using platform = await open();
  const { ann, url } = platform;
  const wrong = { params: { name: 'a b' }, query: {} };
  await t.throwsAsync(ann.getOrderGroup(wrong), { code: 'invalid_request', message: /1 to 100 letters/ });
  await t.throwsAsync(ann.listOrders({ query: { group: '-' } }), { code: 'invalid_request' });
  t.is((await fetch(`${url}/v1/groups`)).status, 401);
});

test('A group is watched over HTTP, and closed with its last event', async (t) => {
  await using platform = await open();
  const { ann } = platform;
  await ann.learn({ body: aLearnuplet({ group: 'sweep' }) });
  const watching = Array.fromAsync(await ann.orderGroupEvents(SWEEP));
  await ann.cancelOrderGroup(SWEEP);
  const events = await watching;
  t.like(events.at(-1), { event: 'ended', data: { ended: true, counts: { cancelled: 1 } } });
});
