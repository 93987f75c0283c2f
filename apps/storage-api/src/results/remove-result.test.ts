import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { learnRequest, NAMED, pin, predictRequest, uploadNamed } from '../testing/pins.ts';
import { bodyOf, sha256 } from '../testing/requests.ts';

const MAKER = learnRequest(1, { produces: { type: 'model', uuid: NAMED.model } });
const { order } = MAKER;
const MODEL = { params: { type: 'model', uuid: NAMED.model } } as const;

/** An order has made the model of {@link NAMED}, and it is published. */
async function makeModel(storage: TestStorage, attempt = 1): Promise<void> {
  const { api } = storage;
  await uploadNamed(storage);
  await pin(storage, MAKER);
  const params = { order, attempt };
  const query = { type: 'model' as const, uuid: NAMED.model, algo: NAMED.algo, owner: 'ann' };
  await api.stageResult({ params, query, body: bodyOf('model') });
  await api.publishResult({ params, query: {} });
}

testOnEngines('What an order has made is removed with its bytes, once', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await makeModel(storage);
  await storage.api.removeResult({ params: { order }, query: {} });
  await refused(t, storage.api.get(MODEL), 'not_found');
  t.false((await storage.files()).includes(sha256('model')));
  await refused(t, storage.api.removeResult({ params: { order }, query: {} }), 'not_found');
});

testOnEngines(
  'What an order has made stays while an order that has not ended names it',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    await makeModel(storage);
    const user = predictRequest(2);
    await pin(storage, user);
    await refused(
      t,
      storage.api.removeResult({ params: { order }, query: {} }),
      'in_use',
      new RegExp(user.order),
    );
    await t.notThrowsAsync(storage.api.get(MODEL));
    await storage.api.discardResults({ params: { order: user.order }, query: { round: 1 } });
    await t.notThrowsAsync(storage.api.removeResult({ params: { order }, query: {} }));
  },
);

testOnEngines(
  'What somebody stored under the id of a result since is not removed as the result',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    await makeModel(storage);
    await storage.api.remove(MODEL);
    await storage.api.uploadModel({
      query: { algo: NAMED.algo, uuid: NAMED.model },
      body: bodyOf('another'),
    });
    await refused(t, storage.api.removeResult({ params: { order }, query: {} }), 'not_found');
    await t.notThrowsAsync(storage.api.get(MODEL));
  },
);

testOnEngines(
  'A removal that comes late takes nothing that a later attempt has made',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    await makeModel(storage, 2);
    const remove = async (attempt: number) =>
      await storage.api.removeResult({ params: { order }, query: { attempt } });
    await refused(t, remove(1), 'not_found');
    await t.notThrowsAsync(storage.api.get(MODEL));
    await t.notThrowsAsync(remove(2));
    await refused(t, storage.api.get(MODEL), 'not_found');
  },
);
