import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { learnRequest, NAMED, pin, predictRequest, uploadNamed } from '../testing/pins.ts';
import { bodyOf, sha256 } from '../testing/requests.ts';

const MAKER = learnRequest(1, { produces: { type: 'model', uuid: NAMED.model } });
const { order } = MAKER;
const MODEL = { params: { type: 'model', uuid: NAMED.model } } as const;

/** An order has made the model of {@link NAMED}, and it is published. */
async function makeModel(storage: TestStorage): Promise<void> {
  const { api } = storage;
  await uploadNamed(storage);
  await pin(storage, MAKER);
  const params = { order, attempt: 1 };
  const query = { type: 'model' as const, uuid: NAMED.model, algo: NAMED.algo, owner: 'ann' };
  await api.stageResult({ params, query, body: bodyOf('model') });
  await api.publishResult({ params, query: {} });
}

testOnEngines('What an order has made is removed with its bytes, once', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await makeModel(storage);
  await storage.api.removeResult({ params: { order } });
  await refused(t, storage.api.get(MODEL), 'not_found');
  t.false((await storage.files()).includes(sha256('model')));
  await refused(t, storage.api.removeResult({ params: { order } }), 'not_found');
});

testOnEngines(
  'What an order has made stays while an order that has not ended names it',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    await makeModel(storage);
    const user = predictRequest(2);
    await pin(storage, user);
    await refused(t, storage.api.removeResult({ params: { order } }), 'in_use', new RegExp(user.order));
    await t.notThrowsAsync(storage.api.get(MODEL));
    await storage.api.discardResults({ params: { order: user.order }, query: { round: 1 } });
    await t.notThrowsAsync(storage.api.removeResult({ params: { order } }));
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
    await refused(t, storage.api.removeResult({ params: { order } }), 'not_found');
    await t.notThrowsAsync(storage.api.get(MODEL));
  },
);
