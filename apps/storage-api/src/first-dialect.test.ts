import test from 'ava';
import { refused } from './testing/expect.ts';
import { openTestStorage } from './testing/open-storage.ts';
import { bodyOf, id, sha256 } from './testing/requests.ts';

test('raw bodies are uploads of the first dialect', async (t) => {
  await using storage = await openTestStorage();
  for (const type of ['problem', 'algo', 'data'] as const) {
    const body = bodyOf(`a ${type}`, { contentType: 'application/octet-stream' });
    const made = await storage.api.upload({ params: { type }, query: { uuid: id(7) }, body });
    t.deepEqual(made, { status: `${type} created`, uuid: id(7) });
    const { name, sha256: digest } = await storage.api.get({ params: { type, uuid: id(7) } });
    t.is(name, undefined);
    t.is(digest, sha256(`a ${type}`));
  }
});

test('the first dialect has its errors under a name of its own too', async (t) => {
  await using storage = await openTestStorage();
  const send = (uuid: string) =>
    storage.api.upload({ params: { type: 'data' }, query: { uuid }, body: bodyOf('bytes') });
  await send(id(1));
  const error = await refused(t, send(id(1)), 'conflict', /already exist/);
  t.is(error?.details.string, error?.message);
});
