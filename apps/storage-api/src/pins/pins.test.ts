import {
  ANONYMOUS,
  type PermissionsChange,
  type PinRequest,
  type Produced,
  type ResourceType,
} from '@morpheo/common';
import { refused, textOf } from '../testing/expect.ts';
import { type OpenTestStorage, testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import {
  ANN,
  attemptOf,
  learnRequest,
  NAMED,
  pin,
  pinned,
  predictRequest,
  uploadNamed,
} from '../testing/pins.ts';
import { bodyOf, formOf, id, sha256 } from '../testing/requests.ts';

async function openWithNamed(openTestStorage: OpenTestStorage, settings = {}): Promise<TestStorage> {
  const storage = await openTestStorage(settings);
  await uploadNamed(storage);
  return storage;
}

type Caller = ReturnType<typeof attemptOf>;

async function bytesOf({ api }: TestStorage, type: ResourceType, uuid: string, caller?: Caller) {
  if (type === 'data') return await textOf(await api.getDataBlob({ params: { uuid }, headers: {} }, caller));
  return await textOf(await api.getBlob({ params: { type, uuid }, headers: {} }, caller));
}

const stage = (
  { api }: TestStorage,
  caller: Caller,
  place: { order: string; attempt: number },
  query: Produced,
  bytes = 'result',
) => api.stageResult({ params: place, query, body: bodyOf(bytes) }, caller);

testOnEngines('What an order names is pinned, and the id of its result is kept free', async (t, open) => {
  await using storage = await openWithNamed(open);
  const answer = await pin(storage, learnRequest(1));
  t.like(answer, {
    outcome: 'pinned',
    order: id(1001),
    produces: { type: 'model', uuid: id(2001) },
    policy: { problem_owner: 'ann', hidden: false, readers: ['ann'] },
  });
  const upload = storage.api.uploadModel({
    query: { algo: NAMED.algo, uuid: id(2001) },
    body: bodyOf('mine'),
  });
  await refused(t, upload, 'conflict', /is kept for the model that an order makes/);
});

testOnEngines(
  'Orders of the same things are told the same digest of them, and others another',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const inputs = async (request: PinRequest) => (await pinned(t, storage, request)).inputs;
    const first = await inputs(learnRequest(1));
    t.regex(String(first), /^[0-9a-f]{64}$/);
    t.is(await inputs(learnRequest(2)), first);
    const { uses } = learnRequest(3);
    t.not(await inputs(learnRequest(3, { uses: uses.slice(0, 3) })), first);
  },
);

testOnEngines(
  'An id that is not to be kept has to be free, and whoever makes the result stores it there',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    t.like(await pin(storage, learnRequest(1, { keep_id: false })), { produces: { uuid: id(2001) } });
    const query = { algo: NAMED.algo, uuid: id(2001) };
    await storage.api.uploadModel({ query, body: bodyOf('a model') });
    const taken = learnRequest(2, { produces: { type: 'model', uuid: id(2001) }, keep_id: false });
    t.like(await pin(storage, taken), { outcome: 'refused', reason: 'invalid_result' });
    const kept = await pin(storage, learnRequest(3));
    t.like(kept, { outcome: 'pinned' });
    const another = learnRequest(4, { produces: { type: 'model', uuid: id(2003) }, keep_id: false });
    t.like(await pin(storage, another), { outcome: 'refused', reason: 'invalid_result' });
  },
);

testOnEngines('Pinned again, an order has the same answer, whatever has changed since', async (t, open) => {
  await using storage = await openWithNamed(open);
  const answer = await pin(storage, learnRequest(1));
  await storage.api.remove({ params: { type: 'data', uuid: NAMED.test } });
  t.deepEqual(await pin(storage, learnRequest(1)), answer);
  t.deepEqual(await pin(storage, learnRequest(1, { owner: 'somebody' })), answer);
});

testOnEngines('An attempt reads what its order has pinned, as it was then', async (t, open) => {
  await using storage = await openWithNamed(open);
  const attempt = attemptOf(await pinned(t, storage, learnRequest(1)));
  await storage.api.patchProblem({
    params: { uuid: NAMED.problem },
    body: formOf(['size', '1'], ['blob', 'a problem that prints hidden targets']),
  });
  await storage.api.remove({ params: { type: 'data', uuid: NAMED.test } });
  await storage.sweep();
  t.is(await bytesOf(storage, 'problem', NAMED.problem, attempt), 'problem');
  t.is(await bytesOf(storage, 'data', NAMED.test, attempt), 'test');
  t.is(await bytesOf(storage, 'algo', NAMED.algo, attempt), 'algo');
  const row = await storage.api.get({ params: { type: 'data', uuid: NAMED.test } }, attempt);
  t.like(row, { uuid: NAMED.test, size: 4, sha256: sha256('test') });
  t.is(await bytesOf(storage, 'problem', NAMED.problem), 'a problem that prints hidden targets');
});

testOnEngines('An attempt reads nothing that its order does not name', async (t, open) => {
  await using storage = await openWithNamed(open);
  const attempt = attemptOf(await pinned(t, storage, learnRequest(1)));
  await storage.api.upload({ params: { type: 'data' }, query: { uuid: id(9) }, body: bodyOf('other') });
  for (const type of ['data', 'problem', 'algo', 'model', 'prediction'] as const)
    await refused(t, bytesOf(storage, type, id(9), attempt), 'forbidden', /does not name/);
  await refused(t, storage.api.get({ params: { type: 'data', uuid: id(9) } }, attempt), 'forbidden');
  await refused(t, bytesOf(storage, 'problem', NAMED.train, attempt), 'forbidden');
});

testOnEngines('Of a prediction the algo of the model is pinned as well', async (t, open) => {
  await using storage = await openWithNamed(open);
  const query = { algo: NAMED.algo, uuid: NAMED.model };
  await storage.api.uploadModel({ query, body: bodyOf('model') }, ANN);
  const attempt = attemptOf(await pinned(t, storage, predictRequest(1)));
  t.is((await storage.api.get({ params: { type: 'model', uuid: NAMED.model } }, attempt)).algo, NAMED.algo);
  for (const type of ['model', 'algo'] as const)
    await storage.api.remove({ params: { type, uuid: NAMED[type] } });
  t.is(await bytesOf(storage, 'algo', NAMED.algo, attempt), 'algo');
});

testOnEngines(
  'An attempt is told of all that its order uses at once, and nobody else is',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const query = { algo: NAMED.algo, uuid: NAMED.model };
    await storage.api.uploadModel({ query, body: bodyOf('model') }, ANN);
    const answer = await pinned(t, storage, predictRequest(1));
    const attempt = attemptOf(answer);
    const params = { order: answer.order, attempt: attempt.principal?.ticket?.attempt ?? 0 };
    const { inputs } = await storage.api.pinnedInputs({ params }, attempt);
    t.true(inputs.some(({ type, resource }) => type === 'model' && resource.algo === NAMED.algo));
    t.true(inputs.some(({ type }) => type === 'algo'));
    for (const { type, resource } of inputs)
      t.deepEqual(await storage.api.get({ params: { type, uuid: resource.uuid } }, attempt), resource);
    const another = { ...params, attempt: params.attempt + 1 };
    await refused(t, storage.api.pinnedInputs({ params: another }, attempt), 'forbidden');
    await refused(t, storage.api.pinnedInputs({ params }, ANN), 'forbidden');
    await storage.api.discardResults({ params: { order: answer.order }, query: {} });
    await refused(t, storage.api.pinnedInputs({ params }, attempt), 'stale_attempt');
  },
);

testOnEngines('A prediction may name a problem that storage does not have', async (t, open) => {
  await using storage = await openWithNamed(open);
  const query = { algo: NAMED.algo, uuid: NAMED.model };
  await storage.api.uploadModel({ query, body: bodyOf('model') }, ANN);
  const [, ...rest] = predictRequest(1).uses;
  const uses = [...rest, { type: 'problem', uuid: id(77), as: 'problem' } as const];
  const attempt = attemptOf(await pinned(t, storage, predictRequest(1, { uses })));
  t.is(await bytesOf(storage, 'model', NAMED.model, attempt), 'model');
});

testOnEngines('What is missing is named, and nothing is kept', async (t, open) => {
  await using storage = await openWithNamed(open);
  const [first, ...rest] = learnRequest(1).uses;
  t.truthy(first);
  const uses = [...rest, { type: 'problem', uuid: id(77), as: 'problem' } as const];
  t.deepEqual(await pin(storage, learnRequest(1, { uses })), {
    outcome: 'refused',
    order: id(1001),
    reason: 'input_not_found',
    message: `There is no problem ${id(77)} on storage, or ann was not given it. Upload it, ask its owner for a grant, or correct the order.`,
    missing: [{ type: 'problem', uuid: id(77), need: 'upload', owner: '' }],
  });
  await t.notThrowsAsync(
    storage.api.uploadModel({ query: { algo: NAMED.algo, uuid: id(2001) }, body: bodyOf('mine') }),
  );
  t.deepEqual(await storage.database.read.selectFrom('pins').selectAll().execute(), []);
});

/** What an order of bob is answered, with each of its ids as `X`. */
async function askedByBob(
  storage: TestStorage,
  uses: PinRequest['uses'],
  kind: PinRequest['kind'] = 'learn',
) {
  const request = (kind === 'learn' ? learnRequest : predictRequest)(++orders, { owner: 'bob', uses });
  const { order: _, ...answer } = await pin(storage, request);
  return JSON.parse(JSON.stringify(answer).replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'X'));
}

let orders = 500;

testOnEngines(
  'What the owner of an order may not see is refused as what is not there; what they see, with who can give it',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const query = { algo: NAMED.algo, uuid: NAMED.model };
    await storage.api.uploadModel({ query, body: bodyOf('model') }, ANN);
    const say = async (type: ResourceType, uuid: string, body: PermissionsChange) =>
      await storage.api.setPermissions({ params: { type, uuid }, body }, ANN);
    const { uses } = learnRequest(1);
    for (const [n, use] of uses.entries()) {
      for (const { type, uuid } of uses) await say(type, uuid, { visibility: 'open' });
      await say(use.type, use.uuid, { visibility: 'private' });
      const hidden = await askedByBob(storage, uses);
      t.deepEqual(hidden, await askedByBob(storage, uses.with(n, { ...use, uuid: id(404) })), use.as);
      t.like(hidden, { reason: 'input_not_found', missing: [{ need: 'upload', owner: '' }] });
    }
    const predict = predictRequest(1).uses;
    await say('data', NAMED.train, { visibility: 'open' });
    const gone = predict.map((use) => (use.as === 'model' ? { ...use, uuid: id(404) } : use));
    t.deepEqual(await askedByBob(storage, predict, 'predict'), await askedByBob(storage, gone, 'predict'));
    await say('model', NAMED.model, { visibility: 'open' });
    await say('problem', NAMED.problem, { visibility: 'private' });
    const { pin: _, ...hidden } = await askedByBob(storage, predict, 'predict');
    const without = predict.map((use) => (use.as === 'problem' ? { ...use, uuid: id(404) } : use));
    const { pin: __, ...nameless } = await askedByBob(storage, without, 'predict');
    t.deepEqual(hidden, nameless, 'a prediction runs nothing of its problem');
    await say('problem', NAMED.problem, { visibility: 'open' });
    await say('data', NAMED.test, { visibility: 'open', purpose: 'train' });
    t.like(await askedByBob(storage, uses), {
      ...{
        reason: 'forbidden',
        message: 'bob may not use data X of ann to test. Its owner can allow it; or correct the order.',
      },
    });
  },
);

testOnEngines('An id that is taken, or kept for another order, is refused', async (t, open) => {
  await using storage = await openWithNamed(open);
  await storage.api.uploadModel({ query: { algo: NAMED.algo, uuid: id(2001) }, body: bodyOf('mine') });
  t.like(await pin(storage, learnRequest(1)), { outcome: 'refused', reason: 'invalid_result' });
  const produces = { type: 'model', uuid: id(2002) } as const;
  const { pins } = await storage.api.pinOrders({
    body: { orders: [learnRequest(2), learnRequest(3, { produces })] },
  });
  t.deepEqual(
    pins.map(({ outcome }) => outcome),
    ['pinned', 'refused'],
  );
  t.like(await pin(storage, learnRequest(4, { produces })), { outcome: 'refused', reason: 'invalid_result' });
});

testOnEngines(
  'Where an order names no id of its result, storage draws one, the same each time',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const produces = { type: 'model', uuid: '00000000-0000-0000-0000-000000000000' } as const;
    const answer = await pinned(t, storage, learnRequest(1, { produces }));
    t.not(answer.produces.uuid, produces.uuid);
    t.deepEqual(await pin(storage, learnRequest(1, { produces })), answer);
  },
);

testOnEngines(
  'An attempt stages the one result of its order, of which storage knows algo and owner',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const answer = await pinned(t, storage, learnRequest(1));
    const attempt = attemptOf(answer, 2);
    const place = { order: answer.order, attempt: 2 };
    const model = { type: 'model', uuid: id(2001) } as const;
    await refused(
      t,
      stage(storage, attempt, { ...place, attempt: 1 }, model),
      'forbidden',
      /attempt 2 of order/,
    );
    await refused(t, stage(storage, attempt, { ...place, order: id(1002) }, model), 'forbidden');
    await refused(
      t,
      stage(storage, attempt, place, { ...model, uuid: id(2002) }),
      'forbidden',
      /makes the model/,
    );
    await refused(t, stage(storage, attempt, place, { ...model, type: 'prediction' }), 'forbidden');
    await stage(storage, attempt, place, model);
    const made = await storage.api.publishResult({ params: place, query: {} });
    t.like(made, { uuid: id(2001), algo: NAMED.algo, sha256: sha256('result') });
  },
);

for (const [how, end] of [
  [
    'published',
    ({ api }: TestStorage, order: string) => api.publishResult({ params: { order, attempt: 1 }, query: {} }),
  ],
  [
    'dropped',
    ({ api }: TestStorage, order: string) => api.discardResults({ params: { order }, query: { round: 1 } }),
  ],
] as const) {
  testOnEngines(`An order whose result is ${how} lets go of all that it had pinned`, async (t, open) => {
    await using storage = await openWithNamed(open);
    const answer = await pinned(t, storage, learnRequest(1));
    const attempt = attemptOf(answer);
    await stage(storage, attempt, { order: answer.order, attempt: 1 }, answer.produces);
    await storage.api.remove({ params: { type: 'data', uuid: NAMED.test } });
    t.true((await storage.files()).includes(sha256('test')));
    await end(storage, answer.order);
    t.false((await storage.files()).includes(sha256('test')));
    await refused(t, bytesOf(storage, 'data', NAMED.train, attempt), 'stale_attempt');
    const again = stage(storage, attempt, { order: answer.order, attempt: 1 }, answer.produces);
    await refused(t, again, 'stale_attempt');
    t.deepEqual(await pin(storage, learnRequest(1)), { outcome: 'stale', order: answer.order });
    for (const table of ['pin_sets', 'pin_members', 'pinned', 'reserved_ids'] as const)
      t.deepEqual(await storage.database.read.selectFrom(table).selectAll().execute(), [], table);
  });
}

testOnEngines('The id of a result that was never made stays the owner’s of its order', async (t, open) => {
  await using storage = await openWithNamed(open);
  const { order } = await pinned(t, storage, learnRequest(1));
  await storage.api.discardResults({ params: { order }, query: { round: 1 } });
  for (const [name, type] of [
    ['problem', 'problem'],
    ['algo', 'algo'],
    ['train', 'data'],
    ['test', 'data'],
  ] as const)
    await storage.api.setPermissions(
      { params: { type, uuid: NAMED[name] }, body: { visibility: 'open' } },
      ANN,
    );
  const eve = { principal: { name: 'eve', roles: ['uploader'] } } as const;
  const query = { algo: NAMED.algo, uuid: id(2001) };
  await refused(t, storage.api.uploadModel({ query, body: bodyOf('hers') }, eve), 'conflict');
  const produces = { type: 'model', uuid: id(2001) } as const;
  t.like(await pin(storage, learnRequest(2, { owner: 'eve', produces })), {
    outcome: 'refused',
    reason: 'invalid_result',
  });
  const again = await pinned(t, storage, learnRequest(1, { round: 2 }));
  await stage(storage, attemptOf(again), { order, attempt: 1 }, again.produces);
  await storage.api.publishResult({ params: { order, attempt: 1 }, query: {} });
  t.is(await bytesOf(storage, 'model', id(2001)), 'result');
});

testOnEngines(
  'A round that was dropped before it was pinned is not pinned by a call that comes late',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const { order } = learnRequest(1);
    await storage.api.discardResults({ params: { order }, query: { round: 1 } });
    t.is((await pin(storage, learnRequest(1))).outcome, 'stale');
    const second = await pinned(t, storage, learnRequest(1, { round: 2 }));
    t.is((await pin(storage, learnRequest(1))).outcome, 'stale', 'a later round is pinned');
    await storage.api.discardResults({ params: { order }, query: { round: 1 } });
    t.is(await bytesOf(storage, 'algo', NAMED.algo, attemptOf(second)), 'algo', 'the end of an earlier one');
  },
);

testOnEngines('A later round takes the place of one that was not released', async (t, open) => {
  await using storage = await openWithNamed(open);
  const first = await pinned(t, storage, learnRequest(1));
  const second = await pinned(t, storage, learnRequest(1, { round: 2 }));
  t.not(second.pin, first.pin);
  await refused(t, bytesOf(storage, 'algo', NAMED.algo, attemptOf(first)), 'stale_attempt');
  t.is(await bytesOf(storage, 'algo', NAMED.algo, attemptOf(second)), 'algo');
});

testOnEngines('Orders that name the same data keep the list of it once', async (t, open) => {
  await using storage = await openWithNamed(open);
  const orders = Array.from({ length: 20 }, (_, index) => learnRequest(index + 1));
  const { pins } = await storage.api.pinOrders({ body: { orders } });
  t.true(pins.every(({ outcome }) => outcome === 'pinned'));
  const rows = await storage.database.read.selectFrom('pinned').selectAll().execute();
  t.is(rows.length, 4);
  for (const { order } of orders.slice(1)) await storage.api.discardResults({ params: { order }, query: {} });
  t.is((await storage.database.read.selectFrom('pinned').selectAll().execute()).length, 4);
  await storage.api.discardResults({ params: { order: id(1001) }, query: {} });
  t.is((await storage.database.read.selectFrom('pinned').selectAll().execute()).length, 0);
});

testOnEngines('An algo is not deleted while an order makes a model of it', async (t, open) => {
  await using storage = await openWithNamed(open);
  await pinned(t, storage, learnRequest(1));
  const remove = () => storage.api.remove({ params: { type: 'algo', uuid: NAMED.algo } });
  await refused(t, remove(), 'in_use', /by the order/);
  await storage.api.discardResults({ params: { order: id(1001) }, query: {} });
  await t.notThrowsAsync(remove());
});

testOnEngines('That an order was released is forgotten after a while', async (t, open) => {
  await using storage = await openWithNamed(open, { stagedMaxAgeMs: -1 });
  await pinned(t, storage, learnRequest(1));
  await pinned(t, storage, learnRequest(2));
  await storage.api.discardResults({ params: { order: id(1001) }, query: { round: 1 } });
  await storage.sweep();
  const rows = await storage.database.read.selectFrom('pins').select('order_id').execute();
  t.deepEqual(rows, [{ order_id: id(1002) }]);
});

testOnEngines('An order that names one thing as what it is not is refused before all', async (t, open) => {
  await using storage = await openWithNamed(open);
  const wrong = learnRequest(1, { uses: [{ type: 'data', uuid: NAMED.test, as: 'problem' }] });
  await refused(t, pin(storage, wrong), 'invalid_request', /names data .* as problem/);
  const produces = { type: 'prediction', uuid: id(1) } as const;
  await refused(t, pin(storage, learnRequest(1, { produces })), 'invalid_request', /makes a model/);
});

testOnEngines(
  'A job takes as inputs what its owner may read, and nothing that is hidden',
  async (t, open) => {
    await using storage = await openWithNamed(open);
    const produces = { type: 'output', uuid: id(2001) } as const;
    const input = { type: 'data', uuid: NAMED.train, as: 'input' } as const;
    const job = (owner: string) =>
      pin(storage, learnRequest(1, { kind: 'job', uses: [input], produces, owner }));
    t.like(await job('bob'), { outcome: 'refused', reason: 'input_not_found', missing: [{ owner: '' }] });
    const params = { type: 'data', uuid: NAMED.train } as const;
    await storage.api.setPermissions({ params, body: { visibility: 'open' } }, ANN);
    const refusal = await job('bob');
    t.like(refusal, { outcome: 'refused', reason: 'forbidden' });
    t.deepEqual(refusal.outcome === 'refused' && refusal.missing, [
      { ...params, need: 'read', owner: 'ann' },
    ]);
    t.regex(refusal.outcome === 'refused' ? refusal.message : '', /as an input\. .* owner and admins alone/);
    t.like(await job('ann'), { outcome: 'pinned', policy: { hidden: false, readers: ['ann'] } });
  },
);

testOnEngines('What a job without credentials does is open, as all that it has read', async (t, open) => {
  await using storage = await openWithNamed(open, { anonymousGrants: 'all' });
  const produces = { type: 'output', uuid: id(2001) } as const;
  const job = (type: ResourceType, uuid: string) =>
    pin(
      storage,
      learnRequest(1, { kind: 'job', uses: [{ type, uuid, as: 'input' }], produces, owner: ANONYMOUS }),
    );
  t.like(await job('data', NAMED.train), { outcome: 'refused' });
  const params = { type: 'algo', uuid: NAMED.algo } as const;
  await storage.api.setPermissions({ params, body: { visibility: 'open' } }, ANN);
  t.like(await job('algo', NAMED.algo), { outcome: 'pinned', policy: { readers: 'everybody' } });
});
