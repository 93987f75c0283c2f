import type { Call } from '@morpheo/common';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id } from '../testing/requests.ts';

const as = (name: string, role: 'uploader' | 'admin' = 'uploader'): Call => ({
  principal: { name, roles: [role] },
});
const [ANN, MALLORY, ROOT] = [as('ann'), as('mallory'), as('root', 'admin')];

type Parts = readonly (readonly [string, string])[];

async function upload(
  { api }: TestStorage,
  call: Call,
  type: 'problem' | 'data',
  uuid: string,
  more: Parts = [],
) {
  const named =
    type === 'problem'
      ? ([
          ['name', 'n'],
          ['description', 'd'],
        ] as const)
      : [];
  const body = formOf(['uuid', uuid], ...named, ...more, ['size', '1'], ['blob', `${type} ${uuid}`]);
  return await api.upload({ params: { type }, query: {}, body }, call);
}

const remove = ({ api }: TestStorage, call: Call, type: 'problem' | 'data', uuid: string) =>
  api.remove({ params: { type, uuid } }, call);

testOnEngines(
  'An id that was deleted stays its owner’s: nobody else puts bytes under it',
  async (t, open) => {
    await using storage = await open();
    await upload(storage, ANN, 'data', id(1));
    await remove(storage, ANN, 'data', id(1));
    await refused(t, upload(storage, MALLORY, 'data', id(1)), 'conflict', /was that of something else/);
    const raw = { params: { type: 'data' as const }, query: { uuid: id(1) } };
    await refused(t, storage.api.upload({ ...raw, body: bodyOf('x') }, MALLORY), 'conflict');
    const metadata = `type ${Buffer.from('data').toString('base64')},uuid ${Buffer.from(id(1)).toString('base64')}`;
    const headers = { 'tus-resumable': '1.0.0', 'upload-length': 1, 'upload-metadata': metadata };
    await refused(t, storage.api.createUpload({ headers }, MALLORY), 'conflict');
    await upload(storage, ANN, 'data', id(1));
    await remove(storage, ANN, 'data', id(1));
    await upload(storage, ROOT, 'data', id(1));
  },
);

testOnEngines('Models of others do not keep an algo from being deleted', async (t, open) => {
  await using storage = await open();
  const { api } = storage;
  const place = { params: { type: 'algo' as const, uuid: id(1) } };
  const query = { uuid: id(1), visibility: 'open' } as const;
  await api.upload({ params: { type: 'algo' }, query, body: bodyOf('algo') }, ANN);
  const model = async (uuid: string, call: Call) =>
    await api.uploadModel({ query: { algo: id(1), uuid }, body: bodyOf('model') }, call);
  await model(id(2), MALLORY);
  await model(id(3), ANN);
  await refused(t, api.remove(place, ANN), 'in_use', new RegExp(`by the model ${id(3)}`));
  await api.remove({ params: { type: 'model', uuid: id(3) } }, ANN);
  await t.notThrowsAsync(api.remove(place, ANN));
  t.is((await api.get({ params: { type: 'model', uuid: id(2) } }, MALLORY)).algo, id(1));
});

testOnEngines('An id that a problem gave up when it was renamed stays its owner’s', async (t, open) => {
  await using storage = await open();
  await upload(storage, ANN, 'problem', id(1));
  const rename = (from: string, to: string, call: Call) =>
    storage.api.patchProblem({ params: { uuid: from }, body: formOf(['uuid', to]) }, call);
  await rename(id(1), id(2), ANN);
  await refused(t, upload(storage, MALLORY, 'problem', id(1)), 'conflict');
  await upload(storage, MALLORY, 'problem', id(3));
  await refused(t, rename(id(3), id(1), MALLORY), 'conflict');
  await rename(id(2), id(1), ANN);
});

testOnEngines(
  'Grants go with a problem that is renamed, and with a resource that is deleted',
  async (t, open) => {
    await using storage = await open();
    const { api } = storage;
    await upload(storage, ANN, 'problem', id(1));
    const place = (uuid: string) => ({ params: { type: 'problem' as const, uuid } });
    await api.setPermissions({ ...place(id(1)), body: { grant: ['person:bob'] } }, ANN);
    await api.patchProblem({ params: { uuid: id(1) }, body: formOf(['uuid', id(2)]) }, ANN);
    t.deepEqual((await api.getPermissions(place(id(2)), ANN)).grants, ['person:bob']);
    await remove(storage, ANN, 'problem', id(2));
    await upload(storage, ANN, 'problem', id(2));
    t.deepEqual((await api.getPermissions(place(id(2)), ANN)).grants, []);
  },
);

testOnEngines(
  'Data that is granted to a problem is seen by whoever may use that problem',
  async (t, open) => {
    await using storage = await open();
    const { api } = storage;
    await upload(storage, ANN, 'problem', id(1));
    await upload(storage, ANN, 'data', id(2));
    const data = { params: { type: 'data' as const, uuid: id(2) } };
    await api.setPermissions({ ...data, body: { grant: [`problem:${id(1)}`] } }, ANN);
    await refused(t, api.get(data, as('bob')), 'not_found');
    const problem = { params: { type: 'problem' as const, uuid: id(1) } };
    await api.setPermissions({ ...problem, body: { grant: ['person:bob'] } }, ANN);
    t.is((await api.get(data, as('bob'))).sha256, undefined);
    t.is((await api.list({ params: { type: 'data' }, query: {} }, as('bob'))).total, 1);
    await refused(t, api.getDataBlob({ params: { uuid: id(2) }, headers: {} }, as('bob')), 'forbidden');
    await api.setPermissions({ ...problem, body: { revoke: ['person:bob'], visibility: 'open' } }, ANN);
    t.is((await api.list({ params: { type: 'data' }, query: {} }, as('bob'))).total, 1);
    await api.setPermissions({ ...problem, body: { visibility: 'private' } }, ANN);
    t.is((await api.list({ params: { type: 'data' }, query: {} }, as('bob'))).total, 0);
  },
);

testOnEngines(
  'An upload says who may use it and for what in every dialect; else the operator has said it',
  async (t, open) => {
    await using storage = await open({ defaultVisibility: 'open', defaultPurpose: 'train' });
    const { api } = storage;
    const saidOf = async (uuid: string) => {
      const { visibility, purpose, problems } = await api.getPermissions(
        { params: { type: 'data', uuid } },
        ANN,
      );
      return [visibility, purpose, problems];
    };
    const problems = `${id(8)}, ${id(9)},${id(8)}`;
    await upload(storage, ANN, 'data', id(1));
    await upload(storage, ANN, 'data', id(2), [
      ['visibility', 'private'],
      ['purpose', 'test'],
      ['problems', problems],
    ]);
    const query = { uuid: id(3), visibility: 'private', purpose: 'test', problems };
    await api.upload({ params: { type: 'data' }, query, body: bodyOf('raw') }, ANN);
    const told = { type: 'data', ...query, uuid: id(4) };
    const pairs = Object.entries(told).map(
      ([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`,
    );
    const version = { 'tus-resumable': '1.0.0' };
    const headers = { ...version, 'upload-length': 1, 'upload-metadata': pairs.join(',') };
    const begun = await api.createUpload({ headers }, ANN);
    const body = bodyOf('x', { contentType: 'application/offset+octet-stream' });
    const params = { upload: String(begun.headers.location).replace('uploads/', '') };
    await api.patchUpload({ params, headers: { ...version, 'upload-offset': 0 }, body }, ANN);
    t.deepEqual(await saidOf(id(1)), ['open', 'train', []]);
    for (const number of [2, 3, 4])
      t.deepEqual(await saidOf(id(number)), ['private', 'test', [id(8), id(9)]]);
  },
);

for (const [title, parts, message] of [
  ['a purpose that is none', [['purpose', 'fun']], /purpose: should be one of train, test, predict, open/],
  ['a visibility that is none', [['visibility', 'legacy']], /visibility: should be one of private, open/],
  ['the purpose test without problems', [['purpose', 'test']], /'Problems' unset/],
  [
    'problems of another purpose',
    [
      ['purpose', 'train'],
      ['problems', id(1)],
    ],
    /go with the purpose test alone/,
  ],
  [
    'a problem that is no id',
    [
      ['purpose', 'test'],
      ['problems', 'x'],
    ],
    /Error parsing problems/,
  ],
] as const) {
  testOnEngines(`An upload is refused that says ${title}`, async (t, open) => {
    await using storage = await open();
    await refused(t, upload(storage, ANN, 'data', id(1), parts), 'invalid_upload', message);
    t.deepEqual(await storage.files(), []);
  });
}

testOnEngines('Only data has a purpose, and is granted to problems', async (t, open) => {
  await using storage = await open();
  const purpose: Parts = [['purpose', 'train']];
  await refused(
    t,
    upload(storage, ANN, 'problem', id(1), purpose),
    'invalid_upload',
    /purpose is not a valid field/,
  );
  await upload(storage, ANN, 'problem', id(1));
  const place = { params: { type: 'problem' as const, uuid: id(1) } };
  for (const body of [{ purpose: 'train' }, { problems: [id(2)] }, { grant: [`problem:${id(2)}`] }] as const)
    await refused(
      t,
      storage.api.setPermissions({ ...place, body: { ...body } as object }, ANN),
      'invalid_request',
      /data/i,
    );
});

testOnEngines(
  'What is from before there were owners is open, or the admins’ alone where the operator closes it',
  async (t, open) => {
    for (const [legacy, outcome] of [
      ['open', 1],
      ['closed', 0],
    ] as const) {
      await using storage = await open({ legacy });
      await upload(storage, ANN, 'data', id(1));
      await storage.database.write((tx) =>
        tx.updateTable('resources').set({ visibility: 'legacy', owner: '' }).execute(),
      );
      t.is((await storage.api.list({ params: { type: 'data' }, query: {} }, ANN)).total, outcome);
      t.is((await storage.api.list({ params: { type: 'data' }, query: {} }, ROOT)).total, 1);
      await refused(t, remove(storage, ANN, 'data', id(1)), legacy === 'open' ? 'forbidden' : 'not_found');
    }
  },
);
