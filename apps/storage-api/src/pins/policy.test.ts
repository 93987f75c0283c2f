import {
  type Call,
  DEFAULT_DISCLOSURE,
  type PermissionsChange,
  type ResourceType,
  type Sample,
} from '@morpheo/common';
import test, { type ExecutionContext } from 'ava';
import { createStorage } from '../storage.ts';
import { refused } from '../testing/expect.ts';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { ANN, learnRequest, NAMED, pin, pinned, uploadNamed } from '../testing/pins.ts';
import { bodyOf, id } from '../testing/requests.ts';

const as = (name: string): Call => ({ principal: { name, roles: ['uploader'] } });

async function open(): Promise<TestStorage> {
  const storage = await openTestStorage();
  await uploadNamed(storage);
  for (const type of ['problem', 'algo'] as const)
    await say(storage, type, NAMED[type], { visibility: 'open' });
  return storage;
}

async function say(
  { api }: TestStorage,
  type: ResourceType,
  uuid: string,
  body: PermissionsChange,
  call: Call = ANN,
) {
  return await api.setPermissions({ params: { type, uuid }, body }, call);
}

/** Opens the data to all, and has somebody who owns none of it upload a problem. */
async function openToMallory(storage: TestStorage): Promise<{ mallory: Call; theirs: string }> {
  const [mallory, theirs] = [as('mallory'), id(66)];
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { visibility: 'open' });
  const query = { uuid: theirs };
  await storage.api.upload({ params: { type: 'problem' }, query, body: bodyOf('p') }, mallory);
  return { mallory, theirs };
}

/** Uploads data sets that everybody known may use. */
async function uploadOpen({ api }: TestStorage, uuids: readonly string[]): Promise<void> {
  for (const uuid of uuids) {
    const query = { uuid, visibility: 'open' } as const;
    await api.upload({ params: { type: 'data' }, query, body: bodyOf('d') }, ANN);
  }
}

/** Writes down the sample of a problem, of whatever it is. */
async function keepSample({ database }: TestStorage, problem: string, sample: Sample): Promise<void> {
  await database.write(async (tx) => {
    const row = tx.updateTable('resources').set({ sample: JSON.stringify(sample) });
    await row.where('type', '=', 'problem').where('uuid', '=', problem).execute();
  });
}

let orders = 0;

async function policy(
  t: ExecutionContext,
  storage: TestStorage,
  owner: string,
  problem = NAMED.problem as string,
) {
  const request = learnRequest(++orders, { owner });
  const uses = request.uses.map((use) => (use.type === 'problem' ? { ...use, uuid: problem } : use));
  return (await pinned(t, storage, { ...request, uses })).policy;
}

test('Who owns all data of an order sees all of it; what its steps print is hidden from who may only use the data', async (t) => {
  await using storage = await open();
  t.like(await policy(t, storage, 'ann'), { hidden: false, readers: ['ann'] });
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { grant: ['person:bob'] });
  t.deepEqual(await policy(t, storage, 'bob'), {
    problem_owner: 'ann',
    hidden: true,
    readers: ['ann'],
    disclosure: DEFAULT_DISCLOSURE,
    canaries: [],
  });
});

test('Data that everybody may use is hidden as well', async (t) => {
  await using storage = await open();
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { visibility: 'open' });
  t.like(await policy(t, storage, 'bob'), { hidden: true, readers: ['ann'] });
  t.like(await policy(t, storage, 'anonymous'), { hidden: true, readers: ['ann'] });
});

test('A problem over the data of others discloses nothing for them, and its owner sees no more than anybody', async (t) => {
  await using storage = await open();
  const { mallory, theirs } = await openToMallory(storage);
  const everything = { detarget: 'all', train: 'all', perf: 'all', predict: 'all', digits: 17 } as const;
  await say(storage, 'problem', theirs, { disclosure: everything }, mallory);
  const guarded = {
    problem_owner: 'mallory',
    hidden: true,
    readers: [],
    disclosure: DEFAULT_DISCLOSURE,
    canaries: [],
  };
  t.deepEqual(await policy(t, storage, 'mallory', theirs), guarded);
  // One of two data sets that trusts the problem is not enough.
  await say(storage, 'data', NAMED.train, { grant: [`problem:${theirs}`] });
  t.deepEqual(await policy(t, storage, 'mallory', theirs), guarded);
  await say(storage, 'data', NAMED.test, { purpose: 'test', problems: [theirs] });
  t.deepEqual(await policy(t, storage, 'mallory', theirs), {
    ...{ problem_owner: 'mallory', hidden: true, readers: ['mallory'], disclosure: everything, canaries: [] },
  });
});

test('The owner of a problem says what its orders disclose, step by step; an order keeps what held when it was checked', async (t) => {
  await using storage = await open();
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { grant: ['person:bob'] });
  const before = learnRequest(900, { owner: 'bob' });
  for (const uuid of [NAMED.train, NAMED.test])
    await say(storage, 'data', uuid, { grant: [`problem:${NAMED.problem}`] });
  t.deepEqual((await pinned(t, storage, before)).policy.disclosure, DEFAULT_DISCLOSURE);
  await say(storage, 'problem', NAMED.problem, { disclosure: { train: { last_bytes: 100 } } });
  const view = await say(storage, 'problem', NAMED.problem, { disclosure: { digits: 2 } });
  const chosen = { ...DEFAULT_DISCLOSURE, train: { last_bytes: 100 }, digits: 2 };
  t.deepEqual(view.disclosure, chosen);
  t.deepEqual((await policy(t, storage, 'bob')).disclosure, chosen);
  t.deepEqual((await pinned(t, storage, before)).policy.disclosure, DEFAULT_DISCLOSURE);
  const disclosure = { train: 'all' } as const;
  await refused(t, say(storage, 'data', NAMED.test, { disclosure }), 'invalid_request', /Only a problem/);
  await refused(t, say(storage, 'problem', NAMED.problem, { disclosure }, as('bob')), 'forbidden');
});

test('What a problem discloses holds for data that was given to it by name, and less than usual for all', async (t) => {
  await using storage = await open();
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { visibility: 'open' });
  const disclosure = { train: 'all', perf: 'all', predict: 'nothing', digits: 2 } as const;
  await say(storage, 'problem', NAMED.problem, { disclosure });
  t.deepEqual((await policy(t, storage, 'bob')).disclosure, {
    ...{ ...DEFAULT_DISCLOSURE, predict: 'nothing', digits: 2 },
  });
  for (const uuid of [NAMED.train, NAMED.test])
    await say(storage, 'data', uuid, { grant: [`problem:${NAMED.problem}`] });
  t.deepEqual((await policy(t, storage, 'bob')).disclosure, { ...DEFAULT_DISCLOSURE, ...disclosure });
});

test('All that an order does with public samples alone is shown to everybody', async (t) => {
  await using storage = await open();
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { visibility: 'open' });
  t.is((await policy(t, storage, 'bob')).sample, undefined);
  await say(storage, 'problem', NAMED.problem, { sample: { train_data: [NAMED.train], test_data: [] } });
  // One of its data sets is not public, and nothing can be tried on a sample without test data.
  t.like(await policy(t, storage, 'bob'), { hidden: true, readers: ['ann'], sample: undefined });
  const sample = { train_data: [NAMED.train], test_data: [NAMED.test] };
  t.deepEqual((await say(storage, 'problem', NAMED.problem, { sample })).sample, sample);
  t.like(await policy(t, storage, 'bob'), { hidden: false, readers: 'everybody' });
});

test('A problem makes the data of its owner public, and not that of others', async (t) => {
  await using storage = await open();
  const { mallory, theirs } = await openToMallory(storage);
  const sample = { train_data: [NAMED.train], test_data: [NAMED.test] };
  const naming = say(storage, 'problem', theirs, { sample }, mallory);
  await refused(t, naming, 'invalid_request', /no data set \S+ of mallory/);
  // As what was said before that was refused.
  await keepSample(storage, theirs, sample);
  t.like(await policy(t, storage, 'mallory', theirs), { hidden: true, readers: [] });
  t.is((await policy(t, storage, 'mallory', theirs)).sample, undefined);
});

test('A sample names open data of the owner of the problem alone; what may not be seen is refused as what is not there', async (t) => {
  await using storage = await open();
  const { mallory, theirs } = await openToMallory(storage);
  await say(storage, 'data', NAMED.train, { visibility: 'private' });
  const named = async (uuid: string) =>
    await t.throwsAsync(
      say(storage, 'problem', theirs, { sample: { train_data: [uuid], test_data: [] } }, mallory),
    );
  t.is((await named(NAMED.train)).message.replace(NAMED.train, id(404)), (await named(id(404))).message);
  const sample = { train_data: [], test_data: [NAMED.train] };
  const closed = say(storage, 'problem', NAMED.problem, { sample });
  await refused(t, closed, 'invalid_request', /morpheo share data \S+ --visibility open/);
  await say(storage, 'data', NAMED.train, { visibility: 'open' });
  t.deepEqual((await say(storage, 'problem', NAMED.problem, { sample })).sample, sample);
});

test('What is no longer open is no longer of the sample, and orders of the platform run on nothing else', async (t) => {
  await using storage = await open();
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { visibility: 'open' });
  await uploadOpen(storage, [id(71), id(72)]);
  const sample = { train_data: [NAMED.train, id(71)], test_data: [id(72)] };
  await say(storage, 'problem', NAMED.problem, { sample });
  t.deepEqual((await policy(t, storage, 'bob')).sample, sample);
  const onSample = async (data: string) => {
    const request = learnRequest(++orders, { owner: 'ann', public_only: true });
    const uses = request.uses.map((use) => (use.type === 'data' ? { ...use, uuid: data } : use));
    return await pin(storage, { ...request, uses });
  };
  t.like(await onSample(NAMED.train), { outcome: 'pinned', policy: { readers: 'everybody' } });
  t.like(await onSample(NAMED.test), { outcome: 'refused', reason: 'forbidden' }, 'not in the sample');
  await say(storage, 'data', NAMED.train, { visibility: 'private' });
  t.deepEqual((await policy(t, storage, 'ann')).sample, { ...sample, train_data: [id(71)] });
  t.like(await onSample(NAMED.train), { outcome: 'refused', reason: 'forbidden' }, 'private by now');
  await storage.api.remove({ params: { type: 'data', uuid: id(72) } }, ANN);
  t.is((await policy(t, storage, 'ann')).sample, undefined, 'there is nothing left to test on');
});

test('An order over hidden data is told of the sample on which its algorithm may be tried', async (t) => {
  await using storage = await open();
  for (const uuid of [NAMED.train, NAMED.test]) await say(storage, 'data', uuid, { grant: ['person:bob'] });
  const sample = { train_data: [id(71)], test_data: [id(72)] };
  await uploadOpen(storage, [id(71), id(72)]);
  await say(storage, 'problem', NAMED.problem, { sample });
  t.deepEqual((await policy(t, storage, 'bob')).sample, sample);
});

test('Where nobody is asked for credentials everybody sees all, for everybody may read all data', async (t) => {
  await using storage = await open();
  const { database, blobs, folder, log } = storage;
  const { api } = createStorage({ database, blobs, uploadsFolder: folder, log, callers: null });
  const asksNobody = { ...storage, api, [Symbol.asyncDispose]: async () => {} };
  t.like(await policy(t, asksNobody, 'ann'), { hidden: false, readers: 'everybody' });
});
