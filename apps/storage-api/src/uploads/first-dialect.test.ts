import test from 'ava';
import { refused } from '../testing/expect.ts';
import { openTestStorage } from '../testing/open-storage.ts';
import { bodyOf, id, sha256 } from '../testing/requests.ts';

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

const FORM_AND_JSON = [
  ['application/json', '{"name":"a problem"}'],
  ['application/vnd.api+json; charset=utf-8', '{}'],
  ['application/x-www-form-urlencoded', 'name=a+problem&size=3'],
] as const;
const NO_ARCHIVE = [
  ['text/plain', 'a text'],
  ['text/html', '<p>'],
  ['application/xml', '<a/>'],
  ['application/offset+octet-stream', 'a chunk'],
] as const;

test('a body of another type is no upload of the first dialect, and makes nothing', async (t) => {
  await using storage = await openTestStorage();
  for (const [type, refusedBodies] of [
    ['problem', [...FORM_AND_JSON, ...NO_ARCHIVE]],
    ['algo', [...FORM_AND_JSON, ...NO_ARCHIVE]],
    ['data', FORM_AND_JSON],
  ] as const) {
    for (const [contentType, text] of refusedBodies) {
      const body = bodyOf(text, { contentType });
      const [essence] = contentType.split(';');
      await refused(
        t,
        storage.api.upload({ params: { type }, query: {}, body }),
        'invalid_upload',
        `[Error uploading ${type}] Invalid media type: ${essence}. Should be: multipart/form-data`,
      );
    }
    t.is((await storage.api.list({ params: { type }, query: {} })).items.length, 0);
  }
  t.deepEqual(await storage.files(), []);
});

test('a data set of the first dialect may be of any type but JSON', async (t) => {
  await using storage = await openTestStorage();
  for (const [contentType, text] of [...NO_ARCHIVE, ['text/csv', 'a=b'], ['image/png', 'png']] as const) {
    const body = bodyOf(text, { contentType });
    t.like(await storage.api.upload({ params: { type: 'data' }, query: {}, body }), {
      status: 'data created',
    });
  }
});

test('bytes are of the first dialect without a type, with a type of bytes, and as curl sends them', async (t) => {
  await using storage = await openTestStorage();
  const archive = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0]);
  for (const contentType of [
    undefined,
    '',
    'application/octet-stream',
    'Application/GZip',
    'application/x-tar',
    'application/x-www-form-urlencoded',
  ]) {
    const body = bodyOf(archive, { contentType });
    const made = await storage.api.upload({ params: { type: 'problem' }, query: {}, body });
    t.like(made, { status: 'problem created' }, contentType);
  }
});
