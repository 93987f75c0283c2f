import { formatDigestField, measured, RESOURCE_TYPES } from '@morpheo/common';
import { refused, textOf } from '../testing/expect.ts';
import { type OpenTestStorage, testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id, sha256, sorted } from '../testing/requests.ts';

const ALGO = id(1);
const ORDER = id(100);

async function openWithAlgo(openTestStorage: OpenTestStorage, settings = {}) {
  const storage = await openTestStorage(settings);
  const body = formOf(['uuid', ALGO], ['name', 'fast'], ['size', '1'], ['blob', 'algo']);
  await storage.api.upload({ params: { type: 'algo' }, query: {}, body });
  return storage;
}

const stage = ({ api }: TestStorage, attempt: number, bytes: string, order = ORDER, uuid = id(2)) =>
  api.stageResult({
    params: { order, attempt },
    query: { type: 'model', uuid, algo: ALGO },
    body: bodyOf(bytes),
  });

const publish = ({ api }: TestStorage, attempt: number, order = ORDER) =>
  api.publishResult({ params: { order, attempt }, query: {} });

/** The digests of what is visible, and those of all files but the algo's. */
async function visible({ api, files }: TestStorage) {
  const pages = await Promise.all(RESOURCE_TYPES.map((type) => api.list({ params: { type }, query: {} })));
  const shown = pages.flatMap(({ items }) => items.map((item) => measured(item).sha256));
  const without = (digests: string[]) => sorted(digests.filter((digest) => digest !== sha256('algo')));
  return { shown: without(shown), stored: without(await files()) };
}

testOnEngines('a staged result is stored and seen by nobody', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  t.deepEqual(await stage(storage, 1, 'model'), { size: 5, sha256: sha256('model') });
  t.deepEqual(await visible(storage), { shown: [], stored: [sha256('model')] });
  const place = { params: { type: 'model', uuid: id(2) } } as const;
  await refused(t, storage.api.get(place), 'not_found');
  await refused(t, storage.api.getBlob({ ...place, headers: {} }), 'not_found');
  await t.notThrowsAsync(
    storage.api.uploadModel({ query: { algo: ALGO, uuid: id(2) }, body: bodyOf('other') }),
    'the uuid is not taken yet',
  );
});

testOnEngines('publishing shows one attempt and drops the others', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 1, 'of a zombie');
  await stage(storage, 2, 'model');
  await stage(storage, 1, 'of another order', id(101), id(3));
  const made = await publish(storage, 2);
  t.like(made, { uuid: id(2), algo: ALGO, size: 5, sha256: sha256('model') });
  t.deepEqual(await visible(storage), {
    shown: [sha256('model')],
    stored: sorted([sha256('model'), sha256('of another order')]),
  });
  const answer = await storage.api.getBlob({ params: { type: 'model', uuid: id(2) }, headers: {} });
  t.is(await textOf(answer), 'model');
});

testOnEngines('publishing again answers the same', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 2, 'model');
  const made = await publish(storage, 2);
  t.deepEqual(await publish(storage, 2), made);
  t.deepEqual(await visible(storage), { shown: [sha256('model')], stored: [sha256('model')] });
});

testOnEngines('calls at once publish once', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 1, 'model');
  const answers = await Promise.all(Array.from({ length: 6 }, () => publish(storage, 1)));
  for (const answer of answers) t.deepEqual(answer, answers[0]);
  t.deepEqual((await visible(storage)).shown, [sha256('model')]);
});

testOnEngines('an order has one published result', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 1, 'first');
  await publish(storage, 1);
  await refused(t, publish(storage, 2), 'conflict', /that of its attempt 1/);
});

testOnEngines('a uuid that belongs to something else is a conflict', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await storage.api.uploadModel({ query: { algo: ALGO, uuid: id(2) }, body: bodyOf('another') });
  await stage(storage, 1, 'model');
  await refused(t, publish(storage, 1), 'conflict', /belongs to another model/);
  t.deepEqual((await visible(storage)).shown, [sha256('another')]);
});

testOnEngines('what nobody staged cannot be published', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await refused(t, publish(storage, 1), 'not_found');
  await stage(storage, 1, 'model');
  await refused(t, publish(storage, 2), 'not_found');
});

testOnEngines('a second result of an attempt takes the place of the first', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 1, 'first');
  await stage(storage, 1, 'second');
  t.deepEqual((await visible(storage)).stored, [sha256('second')]);
  t.is((await publish(storage, 1)).sha256, sha256('second'));
});

testOnEngines('the same bytes staged twice are kept once and survive', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 1, 'model');
  await stage(storage, 1, 'model');
  await stage(storage, 2, 'model');
  t.deepEqual((await visible(storage)).stored, [sha256('model')]);
  await publish(storage, 2);
  t.deepEqual(await visible(storage), { shown: [sha256('model')], stored: [sha256('model')] });
});

testOnEngines(
  'discarding drops what was staged and leaves what was published',
  async (t, openTestStorage) => {
    await using storage = await openWithAlgo(openTestStorage);
    const discard = () => storage.api.discardResults({ params: { order: ORDER }, query: {} });
    await stage(storage, 1, 'dropped');
    await discard();
    await discard();
    t.deepEqual((await visible(storage)).stored, []);
    await stage(storage, 2, 'model');
    await publish(storage, 2);
    await discard();
    t.deepEqual((await visible(storage)).shown, [sha256('model')]);
  },
);

testOnEngines('a prediction is staged and published without an algo', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const params = { order: ORDER, attempt: 1 };
  await storage.api.stageResult({
    params,
    query: { type: 'prediction', uuid: id(5) },
    body: bodyOf('guess'),
  });
  const made = await storage.api.publishResult({ params, query: {} });
  t.deepEqual(await storage.api.get({ params: { type: 'prediction', uuid: id(5) } }), made);
});

testOnEngines('a result without its algo, or with a false digest, is refused', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  const params = { order: ORDER, attempt: 1 };
  const send = (query: { algo?: string }, contentDigest?: string) =>
    storage.api.stageResult({
      params,
      query: { type: 'model', uuid: id(2), ...query },
      body: bodyOf('model', { contentDigest }),
    });
  await refused(t, send({ algo: id(9) }), 'not_found', /sql: no rows/);
  await refused(t, send({}), 'invalid_request');
  await refused(t, send({ algo: ALGO }, formatDigestField(sha256('other'))), 'digest_mismatch');
  t.deepEqual((await visible(storage)).stored, []);
  await t.notThrowsAsync(send({ algo: ALGO }, formatDigestField(sha256('model'))));
});

testOnEngines('an algo is not deleted while a staged model needs it', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  await stage(storage, 1, 'model');
  const remove = () => storage.api.remove({ params: { type: 'algo', uuid: ALGO } });
  await refused(t, remove(), 'in_use', /result of the order/);
  await storage.api.discardResults({ params: { order: ORDER }, query: {} });
  await t.notThrowsAsync(remove());
});

testOnEngines('results that nobody wanted for long are swept', async (t, openTestStorage) => {
  await using old = await openWithAlgo(openTestStorage, { stagedMaxAgeMs: -1 });
  await stage(old, 1, 'model');
  await old.sweep();
  t.deepEqual((await visible(old)).stored, []);
  await using young = await openWithAlgo(openTestStorage, { stagedMaxAgeMs: 60_000 });
  await stage(young, 1, 'model');
  await young.sweep();
  t.deepEqual((await visible(young)).stored, [sha256('model')]);
});
