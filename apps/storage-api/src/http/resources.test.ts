import { RESOURCE_TYPES } from '@morpheo/common';
import fc from 'fast-check';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id } from '../testing/requests.ts';

const upload = ({ api }: TestStorage, type: 'algo' | 'data', number: number) =>
  api.upload({ params: { type }, query: { uuid: id(number) }, body: bodyOf(`${type} ${number}`) });

const list = async ({ api }: TestStorage, query: Parameters<TestStorage['api']['list']>[0]['query'] = {}) =>
  await api.list({ params: { type: 'data' }, query });

const uuids = (items: readonly { uuid: string }[]) => items.map(({ uuid }) => uuid);

testOnEngines('the index names every route of the original', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const patterns = await storage.api.index({});
  t.is(patterns.length, 17);
  const ofTheOriginal = RESOURCE_TYPES.filter((type) => type !== 'output');
  for (const type of ofTheOriginal) t.true(patterns.includes(`/${type}/:uuid/blob`));
});

testOnEngines('without parameters the newest thirty are listed', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  t.deepEqual(await list(storage), { items: [], length: 0, page: 0, total: 0 });
  for (let number = 1; number <= 35; number++) await upload(storage, 'data', number);
  const { items, length, page, total, next } = await list(storage);
  t.deepEqual({ length, page, total }, { length: 30, page: 0, total: 35 });
  t.deepEqual(
    uuids(items),
    Array.from({ length: 30 }, (_, index) => id(35 - index)),
  );
  t.is(typeof next, 'string');
});

testOnEngines('pages and cursors lead through everything once, newest first', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const count = 17;
  for (let number = 1; number <= count; number++) await upload(storage, 'data', number);
  const everything = Array.from({ length: count }, (_, index) => id(count - index));
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 20 }), async (limit) => {
      const byCursor: string[] = [];
      const byPage: string[] = [];
      let cursor: string | undefined;
      for (let page = 0; page === 0 || cursor !== undefined; page++) {
        byPage.push(...uuids((await list(storage, { limit, page })).items));
        const answer = await list(storage, { limit, cursor });
        t.is(answer.total, count);
        byCursor.push(...uuids(answer.items));
        cursor = answer.next;
      }
      t.deepEqual(byCursor, everything);
      t.deepEqual(byPage, everything);
    }),
    { numRuns: 25 },
  );
  t.deepEqual((await list(storage, { page: 9 })).items, []);
});

testOnEngines('a cursor shows nothing twice while things come and go', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (let number = 1; number <= 4; number++) await upload(storage, 'data', number);
  const first = await list(storage, { limit: 2 });
  await upload(storage, 'data', 5);
  await storage.api.remove({ params: { type: 'data', uuid: id(3) } });
  const second = await list(storage, { limit: 2, cursor: first.next });
  t.deepEqual(
    [uuids(first.items), uuids(second.items)],
    [
      [id(4), id(3)],
      [id(2), id(1)],
    ],
  );
});

testOnEngines('a cursor that no list gave is refused, and one beside a page', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (const cursor of ['x', 'AAAA', Buffer.from('1.x').toString('base64url')])
    await refused(t, list(storage, { cursor }), 'invalid_request');
  await refused(t, list(storage, { cursor: 'x', page: 1 }), 'invalid_request', /not by both/);
});

testOnEngines('models are listed by the algo that made them', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (const algo of [1, 2]) {
    await upload(storage, 'algo', algo);
    await storage.api.uploadModel({ query: { algo: id(algo), uuid: id(10 + algo) }, body: bodyOf('m') });
  }
  const { items, total } = await storage.api.list({ params: { type: 'model' }, query: { algo: id(2) } });
  t.deepEqual([uuids(items), total], [[id(12)], 1]);
});

testOnEngines('what is not there is told in the words of the originals', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (const type of RESOURCE_TYPES) {
    const given = id(9).toUpperCase();
    const retrieving = `Error retrieving ${type} ${id(9)}`;
    await refused(
      t,
      storage.api.get({ params: { type, uuid: given } }),
      'not_found',
      `Error retrieving ${type} ${given}: ${retrieving}: [model] ${retrieving} from database: sql: no rows in result set`,
    );
    await refused(
      t,
      storage.api.get({ params: { type, uuid: '666devil' } }),
      'invalid_request',
      /^Impossible to parse UUID 00000000-0000-0000-0000-000000000000: uuid: /,
    );
  }
});

testOnEngines('what is deleted is gone with its bytes', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await upload(storage, 'data', 1);
  const place = { params: { type: 'data', uuid: id(1) } } as const;
  await storage.api.remove(place);
  await refused(t, storage.api.get(place), 'not_found');
  await refused(t, storage.api.remove(place), 'not_found');
  t.deepEqual(await storage.files(), []);
  await t.notThrowsAsync(upload(storage, 'data', 1));
});

testOnEngines('bytes stay while another thing has the same', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (const number of [1, 2]) {
    const body = formOf(['uuid', id(number)], ['size', '1'], ['blob', 'shared']);
    await storage.api.upload({ params: { type: 'data' }, query: {}, body });
  }
  await storage.api.remove({ params: { type: 'data', uuid: id(1) } });
  t.is((await storage.files()).length, 1);
  await storage.api.remove({ params: { type: 'data', uuid: id(2) } });
  t.deepEqual(await storage.files(), []);
});

testOnEngines('an algo is not deleted while it has models', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await upload(storage, 'algo', 1);
  await storage.api.uploadModel({ query: { algo: id(1), uuid: id(2) }, body: bodyOf('m') });
  const remove = (type: 'algo' | 'model', number: number) =>
    storage.api.remove({ params: { type, uuid: id(number) } });
  await refused(t, remove('algo', 1), 'in_use', /in use by the model/);
  await remove('model', 2);
  await t.notThrowsAsync(remove('algo', 1));
});
