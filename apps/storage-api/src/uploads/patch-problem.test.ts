import { measured, NIL_UUID } from '@morpheo/common';
import { refused, textOf } from '../testing/expect.ts';
import { type OpenTestStorage, testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, type FormPart, formOf, id, sha256, sorted } from '../testing/requests.ts';

const TAIL = 'Make sure that each form field is sent before blob in the multipart/form';

/** A storage with two problems, 1 and 2. */
async function openWithProblems(openTestStorage: OpenTestStorage): Promise<TestStorage> {
  const storage = await openTestStorage();
  for (const number of [1, 2]) {
    const body = formOf(
      ['uuid', id(number)],
      ['name', 'n'],
      ['description', 'd'],
      ['size', '1'],
      ['blob', `old ${number}`],
    );
    await storage.api.upload({ params: { type: 'problem' }, query: {}, body });
  }
  return storage;
}

const patch = ({ api }: TestStorage, uuid: string, ...parts: FormPart[]) =>
  api.patchProblem({ params: { uuid }, body: formOf(...parts) });

const blobOf = async ({ api }: TestStorage, uuid: string) =>
  await textOf(await api.getBlob({ params: { type: 'problem', uuid }, headers: {} }));

testOnEngines('a change of words leaves the bytes', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  t.like(await patch(storage, id(1), ['description', 'new']), { uuid: id(1), name: 'n', description: 'new' });
  t.is(await blobOf(storage, id(1)), 'old 1');
});

testOnEngines('a changed problem becomes the newest', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  await patch(storage, id(1), ['name', 'new']);
  const { items } = await storage.api.list({ params: { type: 'problem' }, query: {} });
  t.deepEqual(
    items.map(({ uuid }) => uuid),
    [id(1), id(2)],
  );
});

testOnEngines('a new uuid takes the bytes along', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  t.like(await patch(storage, id(1), ['uuid', id(3)]), { uuid: id(3), name: 'n', sha256: sha256('old 1') });
  t.is(await blobOf(storage, id(3)), 'old 1');
  await refused(t, blobOf(storage, id(1)), 'not_found');
});

testOnEngines('new bytes take the place of the old ones', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  t.like(await patch(storage, id(1), ['size', '3'], ['blob', 'new']), { uuid: id(1), sha256: sha256('new') });
  t.is(await blobOf(storage, id(1)), 'new');
  t.deepEqual(await storage.files(), sorted([sha256('new'), sha256('old 2')]));
});

testOnEngines('no parts, or a size alone, change nothing but the time', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  t.like(await patch(storage, id(1)), { uuid: id(1), name: 'n', description: 'd' });
  t.like(await patch(storage, id(1), ['size', '12']), { uuid: id(1), size: 5 });
});

testOnEngines('a uuid that is taken is refused, its own as well', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  for (const taken of [id(1), id(2)]) {
    const text = `[Error patching problem] [model] UUID ${taken} already exist in table 'problem'`;
    await refused(t, patch(storage, id(1), ['uuid', taken]), 'conflict', text);
  }
});

testOnEngines('a false change is refused and changes nothing', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  const cases: [FormPart[], string][] = [
    [[['name', '']], `Invalid form: 'Name' unset. ${TAIL}`],
    [[['description', '']], `Invalid form: 'Description' unset. ${TAIL}`],
    [[['uuid', NIL_UUID]], `Invalid form: 'UUID' unset. ${TAIL}`],
    [[['blob', 'x']], `Invalid form: 'Size' unset. ${TAIL}`],
    [[['colour', 'red']], 'Unknown field "colour"'],
  ];
  for (const [parts, text] of cases) {
    await refused(t, patch(storage, id(1), ...parts), 'invalid_upload', `[Error patching problem] ${text}`);
  }
  t.like(await storage.api.get({ params: { type: 'problem', uuid: id(1) } }), {
    name: 'n',
    description: 'd',
  });
  t.is((await storage.files()).length, 2);
});

testOnEngines('an unknown problem and a bad id are told apart', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  await refused(
    t,
    patch(storage, id(9)),
    'not_found',
    /^Error retrieving problem .*sql: no rows in result set$/,
  );
  await refused(t, patch(storage, 'x'), 'invalid_request', /^Impossible to parse UUID/);
});

testOnEngines('a change that is no form is refused', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  const body = bodyOf('{}', { contentType: 'application/json' });
  await refused(
    t,
    storage.api.patchProblem({ params: { uuid: id(1) }, body }),
    'invalid_upload',
    '[Error patching problem] Invalid media type: application/json. Should be: multipart/form-data',
  );
});

testOnEngines('of changes of one problem at once none is lost or mixed', async (t, openTestStorage) => {
  await using storage = await openWithProblems(openTestStorage);
  await Promise.all(
    Array.from({ length: 8 }, (_, index) => patch(storage, id(1), ['size', '1'], ['blob', `new ${index}`])),
  );
  const changed = await storage.api.get({ params: { type: 'problem', uuid: id(1) } });
  const { sha256: digest } = measured(changed);
  t.is(sha256(await blobOf(storage, id(1))), digest);
  t.deepEqual(await storage.files(), sorted([digest, sha256('old 2')]));
});
