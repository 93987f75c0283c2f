import { gzipSync } from 'node:zlib';
import type { Call } from '@morpheo/common';
import test, { type ExecutionContext } from 'ava';
import { refused } from '../testing/expect.ts';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { ANN, attemptOf, learnRequest, NAMED, pinned, uploadNamed } from '../testing/pins.ts';
import { bodyOf, id } from '../testing/requests.ts';

const CANARY = 'zebra-of-the-hidden-labels';
const as = (name: string): Call => ({ principal: { name, roles: ['uploader'] } });

async function openWithCanaries(): Promise<TestStorage> {
  const storage = await openTestStorage();
  await uploadNamed(storage);
  const problem = { params: { type: 'problem' as const, uuid: NAMED.problem } };
  const body = { canaries: ['another canary', CANARY], visibility: 'open' as const };
  await storage.api.setPermissions({ ...problem, body }, ANN);
  return storage;
}

/** Stages a model in pieces of so many bytes, as an attempt of an order of its own, and publishes it. */
async function publish(
  t: ExecutionContext,
  storage: TestStorage,
  number: number,
  bytes: Uint8Array,
  pieceBytes: number,
) {
  const answer = await pinned(t, storage, learnRequest(number));
  const params = { order: answer.order, attempt: 1 };
  const query = { type: 'model', uuid: answer.produces.uuid } as const;
  const body = (async function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  })();
  await storage.api.stageResult(
    { params, query, body: { body, contentLength: bytes.length } },
    attemptOf(answer),
  );
  return await storage.api.publishResult({ params, query: {} });
}

/** What an algorithm could make of a canary that it got hold of. */
const HIDDEN_IN: readonly (readonly [string, Buffer])[] = [
  ['raw', Buffer.from(`weights ${CANARY} weights`)],
  ['in hex', Buffer.from(Buffer.from(`w${CANARY}w`).toString('hex'))],
  ['in base64', Buffer.from(Buffer.from(`w${CANARY}w`).toString('base64'))],
  ['in a packed model', gzipSync(`weights ${CANARY}`)],
  ['in base64 in a packed model', gzipSync(`weights ${Buffer.from(`ww${CANARY}w`).toString('base64')}`)],
  [
    'after the part of a packed model that can be unpacked',
    Buffer.concat([gzipSync('weights').subarray(0, 12), Buffer.from(CANARY)]),
  ],
];

test('A model that holds a canary is never published, however it is written there and in which pieces it comes', async (t) => {
  await using storage = await openWithCanaries();
  let number = 0;
  for (const [how, bytes] of HIDDEN_IN) {
    for (const size of [1, 7, 65_536]) {
      const published = publish(t, storage, ++number, bytes, size);
      await refused(t, published, 'wrong_state', /^It holds the canary number 2 of its problem\.$/);
      const place = { params: { type: 'model' as const, uuid: id(2000 + number) } };
      await refused(t, storage.api.get(place), 'not_found');
      t.log(`${how}, ${size} bytes at once`);
    }
  }
});

test('A model without a canary is published, and one of a problem that names none', async (t) => {
  await using storage = await openWithCanaries();
  const bytes = gzipSync('weights, and zebra-of-the-hidden-label');
  t.is((await publish(t, storage, 1, bytes, 5)).uuid, id(2001));
  const problem = { params: { type: 'problem' as const, uuid: NAMED.problem } };
  await storage.api.setPermissions({ ...problem, body: { canaries: [] } }, ANN);
  t.is((await publish(t, storage, 2, Buffer.from(CANARY), 5)).uuid, id(2002));
});

test('An order is searched for the canaries that its problem had when it was checked', async (t) => {
  await using storage = await openWithCanaries();
  const answer = await pinned(t, storage, learnRequest(1));
  t.deepEqual(answer.policy.canaries, ['another canary', CANARY]);
  const problem = { params: { type: 'problem' as const, uuid: NAMED.problem } };
  await storage.api.setPermissions({ ...problem, body: { canaries: [] } }, ANN);
  await refused(t, publish(t, storage, 1, Buffer.from(CANARY), 5), 'wrong_state');
});

test('Canaries are shown to who may share the problem alone, and stand in no log', async (t) => {
  await using storage = await openWithCanaries();
  const problem = { params: { type: 'problem' as const, uuid: NAMED.problem } };
  t.deepEqual((await storage.api.getPermissions(problem, ANN)).canaries, ['another canary', CANARY]);
  const others = [
    await storage.api.getPermissions(problem, as('bob')),
    await storage.api.get(problem, as('bob')),
    await storage.api.list({ params: { type: 'problem' }, query: {} }, as('bob')),
  ];
  t.notRegex(JSON.stringify(others), /zebra|another canary/);
  t.notRegex(JSON.stringify(storage.log.entries), /zebra|another canary/);
  const short = storage.api.setPermissions(
    { ...problem, body: { disclosure: {}, canaries: ['x'.repeat(8)] } },
    as('bob'),
  );
  await refused(t, short, 'forbidden');
});

test('Canaries of a problem over the data of others are searched nowhere: they would tell whether a guess is right', async (t) => {
  await using storage = await openWithCanaries();
  await storage.api.setPermissions(
    { params: { type: 'data', uuid: NAMED.test }, body: { visibility: 'open' } },
    ANN,
  );
  const theirs = as('mallory');
  const place = { params: { type: 'problem' as const, uuid: id(66) } };
  await storage.api.upload(
    { params: { type: 'problem' }, query: { uuid: id(66) }, body: bodyOf('p') },
    theirs,
  );
  const said = { canaries: ['a guess at hidden bytes'], visibility: 'open' as const };
  await storage.api.setPermissions({ ...place, body: said }, theirs);
  const request = learnRequest(1);
  const uses = request.uses.map((use) => (use.type === 'problem' ? { ...use, uuid: id(66) } : use));
  t.deepEqual((await pinned(t, storage, { ...request, uses, owner: 'ann' })).policy.canaries, []);
});
