import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { attemptOf, learnRequest, NAMED, pin, pinned, predictRequest, uploadNamed } from '../testing/pins.ts';
import { bodyOf, id, sha256 } from '../testing/requests.ts';

testOnEngines(
  'What is pinned for a time is released by the collection once that is over, and nothing else is',
  async (t, open) => {
    await using storage = await open();
    await uploadNamed(storage);
    const brief = attemptOf(await pinned(t, storage, learnRequest(1, { expires_seconds: 60 })));
    const lasting = attemptOf(await pinned(t, storage, learnRequest(2)));
    await storage.api.remove({ params: { type: 'data', uuid: NAMED.test } });
    const blob = (caller: typeof brief) =>
      storage.api.get({ params: { type: 'data', uuid: NAMED.test } }, caller);
    await storage.sweep();
    t.is((await blob(brief)).sha256, sha256('test'), 'not before');
    await storage.database.write(async (transaction) => {
      await transaction.updateTable('pins').set({ expires_at: 1 }).where('expires_at', '>', 1).execute();
    });
    await storage.sweep();
    await refused(t, blob(brief), 'stale_attempt', /is released/);
    t.is((await blob(lasting)).sha256, sha256('test'));
    t.like(await pin(storage, learnRequest(1, { expires_seconds: 60 })), { outcome: 'stale' });
    await storage.api.discardResults({ params: { order: id(1002) }, query: {} });
    t.false((await storage.files()).includes(sha256('test')));
  },
);

testOnEngines(
  'An attempt of a prediction by a model alone reads the model and its algorithm',
  async (t, open) => {
    await using storage = await open();
    await uploadNamed(storage);
    const query = { algo: NAMED.algo, uuid: NAMED.model };
    await storage.api.uploadModel(
      { query, body: bodyOf('a model') },
      { principal: { name: 'ann', roles: ['uploader'] } },
    );
    const uses = [{ type: 'model', uuid: NAMED.model, as: 'model' }] as const;
    const produces = { type: 'prediction', uuid: id(0) } as const;
    const request = predictRequest(1, { uses: [...uses], produces, keep_id: false, expires_seconds: 60 });
    const caller = attemptOf(await pinned(t, storage, request));
    const model = await storage.api.get({ params: { type: 'model', uuid: NAMED.model } }, caller);
    t.is(model.algo, NAMED.algo);
    t.is(
      (await storage.api.get({ params: { type: 'algo', uuid: NAMED.algo } }, caller)).sha256,
      sha256('algo'),
    );
    t.like(await pin(storage, { ...request, order: id(1009), owner: 'bob' }), { outcome: 'refused' });
  },
);
