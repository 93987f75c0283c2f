import { formatDigestField, NIL_UUID } from '@morpheo/common';
import { refused, textOf } from '../testing/expect.ts';
import { type OpenTestStorage, testOnEngines } from '../testing/on-engines.ts';
import { bodyOf, FORM_TYPE, formOf, id, sha256, sorted } from '../testing/requests.ts';

const ALGO = id(1);

/** A storage with one algo. */
async function openWithAlgo(openTestStorage: OpenTestStorage) {
  const storage = await openTestStorage();
  const body = formOf(['uuid', ALGO], ['name', 'fast'], ['size', '1'], ['blob', 'algo']);
  await storage.api.upload({ params: { type: 'algo' }, query: {}, body });
  return storage;
}

testOnEngines('a model is its body, whatever its type says', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  const body = bodyOf('--model', { contentType: FORM_TYPE });
  const made = await storage.api.uploadModel({ query: { algo: ALGO, uuid: id(2) }, body });
  t.like(made, { uuid: id(2), algo: ALGO, size: 7, sha256: sha256('--model') });
  const answer = await storage.api.getBlob({ params: { type: 'model', uuid: id(2) }, headers: {} });
  t.is(await textOf(answer), '--model');
});

testOnEngines(
  'a model may be empty, and without uuid or with nil gets a new one',
  async (t, openTestStorage) => {
    await using storage = await openWithAlgo(openTestStorage);
    const first = await storage.api.uploadModel({ query: { algo: ALGO }, body: bodyOf('') });
    const second = await storage.api.uploadModel({ query: { algo: ALGO, uuid: NIL_UUID }, body: bodyOf('') });
    t.like(first, { size: 0 });
    t.not(first.uuid, second.uuid);
    t.not(second.uuid, NIL_UUID);
    const answer = await storage.api.getBlob({ params: { type: 'model', uuid: first.uuid }, headers: {} });
    t.is(answer.headers['content-length'], '0');
    t.is(await textOf(answer), '');
  },
);

testOnEngines(
  'a model of an unknown algo is refused before its own id is looked at',
  async (t, openTestStorage) => {
    await using storage = await openWithAlgo(openTestStorage);
    const send = (query: { algo?: string; uuid?: string }) =>
      storage.api.uploadModel({ query, body: bodyOf('m') });
    const retrieving = `Error retrieving algo ${id(9)}`;
    await refused(
      t,
      send({ algo: id(9), uuid: 'bad' }),
      'not_found',
      `Error uploading model: algorithm ${id(9)} not found: ` +
        `${retrieving}: [model] ${retrieving} from database: sql: no rows in result set`,
    );
    await refused(t, send({ algo: '7-Batman' }), 'invalid_request', /^Impossible to parse algo UUID 0{8}-/);
    await refused(t, send({}), 'invalid_request', /^Impossible to parse algo UUID 0{8}-/);
    await refused(
      t,
      send({ algo: ALGO, uuid: 'bad' }),
      'invalid_request',
      /^Impossible to parse model UUID 0{8}-/,
    );
  },
);

testOnEngines('a model whose length is not told is refused', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  const body = bodyOf('model', { contentLength: undefined });
  await refused(
    t,
    storage.api.uploadModel({ query: { algo: ALGO }, body }),
    'invalid_upload',
    /^\[Error uploading model\] Error parsing header 'Content-Length': should be blob size in bytes/,
  );
});

testOnEngines('a model whose uuid is taken changes no byte of the other', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  const send = (bytes: string) =>
    storage.api.uploadModel({ query: { algo: ALGO, uuid: id(2) }, body: bodyOf(bytes) });
  await send('first');
  const text = `[Error uploading model] [model] UUID ${id(2)} already exist in table 'model'`;
  await refused(t, send('second'), 'conflict', text);
  const answer = await storage.api.getBlob({ params: { type: 'model', uuid: id(2) }, headers: {} });
  t.is(await textOf(answer), 'first');
  t.deepEqual(await storage.files(), sorted([sha256('first'), sha256('algo')]));
});

testOnEngines('a digest that is promised in a header is checked', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  const send = (contentDigest: string) =>
    storage.api.uploadModel({ query: { algo: ALGO }, body: bodyOf('model', { contentDigest }) });
  await refused(t, send(formatDigestField(sha256('other'))), 'digest_mismatch');
  await refused(t, send('sha-512=:AAAA:'), 'invalid_upload', /Content-Digest has no SHA-256/);
  t.deepEqual(await storage.files(), [sha256('algo')]);
  await t.notThrowsAsync(send(formatDigestField(sha256('model'))));
});

testOnEngines('a body shorter than it was announced is refused', async (t, openTestStorage) => {
  await using storage = await openWithAlgo(openTestStorage);
  const body = bodyOf('model', { contentLength: 10 });
  await refused(
    t,
    storage.api.uploadModel({ query: { algo: ALGO }, body }),
    'digest_mismatch',
    /10 bytes and has 5/,
  );
});
