import type { Learnuplet, Role } from '@morpheo/common';
import { testOnEngines } from '../testing/on-engines.ts';
import { aLearnuplet } from '../testing/orders.ts';

function caller(name: string, ...roles: Role[]) {
  return { principal: { name, roles } };
}

testOnEngines('An order belongs to who posted it', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const [mine, nobodys] = [aLearnuplet(), aLearnuplet()];
  await api.learn({ body: mine }, caller('ada', 'orchestrator'));
  await api.learn({ body: nobodys });
  t.like(await api.getOrder({ params: { id: mine.uuid } }), { owner: 'ada', priority: 0 });
  t.like(await api.getOrder({ params: { id: nobodys.uuid } }), { owner: 'anonymous', priority: 0 });
  const { items } = await api.listOrders({ query: { owner: 'anonymous' } });
  t.deepEqual(
    items.map(({ id }) => id),
    [nobodys.uuid],
  );
});

testOnEngines(
  'Only an orchestrator of the credentials file orders for another owner, and no person with that role',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const { api } = compute;
    const body = aLearnuplet({ owner: 'lab', priority: -2 });
    await t.throwsAsync(api.learn({ body }), { code: 'forbidden' });
    await t.throwsAsync(api.learn({ body }, caller('ada', 'reader')), { code: 'forbidden' });
    await api.learn({ body }, caller('ada', 'orchestrator'));
    t.like(await api.getOrder({ params: { id: body.uuid } }), { owner: 'lab', priority: -2 });
    const person = { principal: { name: 'eve', roles: ['orchestrator' as const], isPerson: true } };
    await t.throwsAsync(api.learn({ body: aLearnuplet({ owner: 'lab' }) }, person), { code: 'forbidden' });
    await t.notThrowsAsync(api.learn({ body: aLearnuplet() }, person), 'for herself');
    await t.notThrowsAsync(api.learn({ body: aLearnuplet({ owner: 'bob' }) }, caller('bob', 'reader')));
  },
);

testOnEngines('A person cancels and retries no order of somebody else', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const person = (name: string, role: Role) => ({ principal: { name, roles: [role], isPerson: true } });
  const bob = person('bob', 'orchestrator');
  for (const [call, what] of [
    [bob, 'a person'],
    [undefined, 'nobody'],
  ] as const) {
    const body = aLearnuplet();
    await api.learn({ body }, call);
    const of = { params: { id: body.uuid } };
    const eve = person('eve', 'orchestrator');
    const refusal = { code: 'forbidden', message: /its owner and admins may/ };
    await t.throwsAsync(api.cancelOrder(of, eve), refusal, what);
    t.is((await api.cancelOrder(of, person('ann', 'admin'))).status, 'cancelled', what);
    await t.throwsAsync(api.retryOrder(of, eve), refusal, what);
    t.is((await api.retryOrder(of, caller('lab', 'orchestrator'))).status, 'waiting', what);
    if (call === bob) t.is((await api.cancelOrder(of, bob)).status, 'cancelled');
  }
});

testOnEngines('A person sets the defaults of no problem, unless as an admin', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const person = (role: Role) => ({ principal: { name: 'eve', roles: [role], isPerson: true } });
  const input = (gpus: number) => ({ params: { problem: aLearnuplet().problem }, body: { gpus } });
  const refusal = { code: 'forbidden', message: /Ask an admin/ };
  const refused = input(64);
  await t.throwsAsync(api.setProblemDefaults(refused, person('orchestrator')), refusal);
  t.deepEqual(await api.getProblemDefaults({ params: refused.params }), { gpus: 0 });
  for (const call of [undefined, person('admin'), caller('lab', 'orchestrator'), caller('ann', 'admin')]) {
    t.deepEqual(await api.setProblemDefaults(input(2), call), { gpus: 2 });
  }
});

for (const [what, members] of [
  ['an empty owner', { owner: '' }],
  ['an owner of two lines', { owner: 'a\nb' }],
  ['too long an owner', { owner: 'a'.repeat(101) }],
  ['too high a priority', { priority: 11 }],
  ['too low a priority', { priority: -11 }],
] as const satisfies [string, Partial<Learnuplet>][]) {
  testOnEngines(`An order with ${what} is refused`, async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const body = aLearnuplet(members);
    await t.throwsAsync(compute.api.learn({ body }, caller('ada', 'admin')), { code: 'invalid_order' });
  });
}

testOnEngines('The same order with another priority or owner conflicts', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const ada = caller('ada', 'orchestrator');
  const body = aLearnuplet({ priority: 1, owner: 'lab' });
  await api.learn({ body }, ada);
  await t.notThrowsAsync(api.learn({ body }, ada));
  for (const other of [{ priority: 2 }, { priority: undefined }, { owner: 'ada' }, { owner: undefined }]) {
    await t.throwsAsync(api.learn({ body: { ...body, ...other } }, ada), { code: 'conflict' });
  }
});

testOnEngines('The same order from another caller keeps its owner', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const body = aLearnuplet();
  await api.learn({ body }, caller('ada', 'orchestrator'));
  await t.notThrowsAsync(api.learn({ body }, caller('bob', 'orchestrator')));
  t.is((await api.getOrder({ params: { id: body.uuid } })).owner, 'ada');
});

testOnEngines('Messages of orders that say neither are as ever', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const body = aLearnuplet();
  await compute.api.learn({ body }, caller('ada', 'orchestrator'));
  await t.notThrowsAsync(async () => {
    while (compute.published.length === 0) await new Promise(setImmediate);
  });
  const keys = Object.keys(JSON.parse(compute.published[0]?.message ?? '{}') as object);
  t.false(keys.includes('owner') || keys.includes('priority'));
});

testOnEngines("An owner's weight is 1 until it is set", async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const params = { owner: 'anonymous' };
  t.deepEqual(await compute.api.getOwner({ params }), { weight: 1 });
  for (const weight of [3, 7]) await compute.api.setOwner({ params, body: { weight } });
  t.deepEqual(await compute.api.getOwner({ params }), { weight: 7 });
  const { owner } = await compute.database.read.selectFrom('owners').selectAll().executeTakeFirstOrThrow();
  t.is(owner, '');
});

testOnEngines('A claim names the owner of its order', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet({ owner: 'lab' }) }, caller('ada', 'orchestrator'));
  t.is((await worker.mustClaim()).owner, 'lab');
  await compute.api.learn({ body: aLearnuplet() });
  const worker2 = await compute.worker();
  t.is((await worker2.mustClaim()).owner, 'anonymous');
});

testOnEngines('Owners are listed by name, with their queues and shares', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { api } = compute;
  const worker = await compute.worker();
  await api.learn({ body: aLearnuplet() });
  await worker.mustClaim();
  await api.setOwner({ params: { owner: 'bob' }, body: { weight: 3 } });
  await api.setOwner({ params: { owner: 'idle' }, body: { weight: 9 } });
  for (const owner of ['ada', 'bob', 'bob']) await api.learn({ body: aLearnuplet() }, caller(owner));
  const counts = { waiting: 0, due: 0, running: 0 };
  const expected = [
    { owner: 'anonymous', weight: 1, ...counts, running: 1, share: {} },
    { owner: 'ada', weight: 1, ...counts, due: 1, share: { learn: 0.25 } },
    { owner: 'bob', weight: 3, ...counts, due: 2, share: { learn: 0.75 } },
    { owner: 'idle', weight: 9, ...counts, share: {} },
  ];
  t.deepEqual(await api.listOwners({ query: {} }), { items: expected });
  const items: unknown[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await api.listOwners({ query: { limit: 1, cursor } });
    t.is(page.items.length, 1);
    items.push(...page.items);
    cursor = page.next;
    if (cursor === undefined) break;
  }
  t.deepEqual(items, expected);
});

testOnEngines('An empty platform has no owners', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  t.deepEqual(await compute.api.listOwners({ query: {} }), { items: [] });
});
