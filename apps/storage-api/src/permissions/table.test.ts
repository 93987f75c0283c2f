import {
  type Action,
  type Call,
  CREDENTIAL_ROLES,
  type CredentialRole,
  isAllowed,
  isPlatformError,
  RELATIONS,
  RESOURCE_TYPES,
  type Relation,
  type ResourceType,
  storageContract,
} from '@morpheo/common';
import { rawTar } from '@morpheo/service/archive/testing';
import test, { type ExecutionContext } from 'ava';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf } from '../testing/requests.ts';

type Route = keyof typeof storageContract.endpoints;

/** What a route does with one resource; undefined where it is none of that type. */
type Ask = (
  storage: TestStorage,
  type: ResourceType,
  uuid: string,
  call: Call,
) => Promise<unknown> | undefined;

const headers = {};
const onlyFor =
  (wanted: ResourceType, ask: Ask): Ask =>
  (storage, type, uuid, call) =>
    type === wanted ? ask(storage, type, uuid, call) : undefined;
const blob =
  (route: 'getBlob' | 'headBlob'): Ask =>
  ({ api }, type, uuid, call) =>
    type === 'data' ? undefined : api[route]({ params: { type, uuid }, headers }, call);

const OUTPUT = rawTar([{ name: 'file' }]);
const outputFile =
  (route: 'getOutputFile' | 'headOutputFile'): Ask =>
  ({ api }, _, uuid, call) =>
    api[route]({ params: { uuid }, query: { path: 'file' }, headers }, call);

/** What each route that names a resource takes: the last ones change it. */
const ROUTES: Partial<Record<Route, readonly [Action, Ask]>> = {
  get: ['describe', ({ api }, type, uuid, call) => api.get({ params: { type, uuid } }, call)],
  getPermissions: [
    'describe',
    ({ api }, type, uuid, call) => api.getPermissions({ params: { type, uuid } }, call),
  ],
  getBlob: ['read', blob('getBlob')],
  headBlob: ['read', blob('headBlob')],
  getDataBlob: [
    'read',
    onlyFor('data', ({ api }, _, uuid, call) => api.getDataBlob({ params: { uuid }, headers }, call)),
  ],
  headDataBlob: [
    'read',
    onlyFor('data', ({ api }, _, uuid, call) => api.headDataBlob({ params: { uuid }, headers }, call)),
  ],
  listOutputFiles: [
    'read',
    onlyFor('output', ({ api }, _, uuid, call) => api.listOutputFiles({ params: { uuid }, query: {} }, call)),
  ],
  getOutputFile: ['read', onlyFor('output', outputFile('getOutputFile'))],
  headOutputFile: ['read', onlyFor('output', outputFile('headOutputFile'))],
  uploadModel: [
    'use',
    onlyFor('algo', ({ api }, _, algo, call) =>
      api.uploadModel({ query: { algo }, body: bodyOf('m') }, call),
    ),
  ],
  createUpload: [
    'use',
    onlyFor('algo', ({ api }, _, algo, call) =>
      api.createUpload({ headers: tusOf({ type: 'model', algo }) }, call),
    ),
  ],
  setPermissions: [
    'share',
    ({ api }, type, uuid, call) =>
      api.setPermissions({ params: { type, uuid }, body: { grant: ['person:zoe'] } }, call),
  ],
  patchProblem: [
    'change',
    onlyFor('problem', ({ api }, _, uuid, call) =>
      api.patchProblem({ params: { uuid }, body: formOf(['name', 'new']) }, call),
    ),
  ],
  remove: ['change', ({ api }, type, uuid, call) => api.remove({ params: { type, uuid } }, call)],
};

/** Routes that name no resource of somebody, or are not for people; and `list`, which shows what may be described. */
const OTHERS: readonly Route[] = [
  ...(['index', 'usage', 'list', 'upload'] as const),
  ...(['stageResult', 'publishResult', 'discardResults', 'removeResult', 'pinOrders'] as const),
  ...(['putCheckpoint', 'getCheckpoint', 'pinnedInputs'] as const),
  ...(['uploadOptions', 'headUpload', 'patchUpload', 'deleteUpload'] as const),
];

function tusOf(metadata: Readonly<Record<string, string>>) {
  const pairs = Object.entries(metadata).map(
    ([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`,
  );
  return { 'tus-resumable': '1.0.0', 'upload-length': 1, 'upload-metadata': pairs.join(',') };
}

const as = (name: string, role: CredentialRole): Call => ({ principal: { name, roles: [role] } });

/** How somebody comes to a relation: who that is, and what the owner has said. */
const WAYS: readonly (readonly [relation: Relation, caller: string, said: object])[] = [
  ['admin', 'root', {}],
  ['owner', 'ann', {}],
  ['granted', 'bob', { grant: ['person:bob'] }],
  ['granted', 'bob', { grant: ['group:vision'] }],
  ['open', 'bob', { visibility: 'open' }],
  ['none', 'bob', { grant: ['person:bo', 'person:bobby', 'group:audio'] }],
];

async function uploadAll({ api }: TestStorage, said: object): Promise<Record<ResourceType, string>> {
  const ann = as('ann', 'uploader');
  const uuids: Partial<Record<ResourceType, string>> = {};
  for (const type of RESOURCE_TYPES) {
    const uuid = crypto.randomUUID();
    if (type === 'model')
      await api.uploadModel({ query: { algo: uuids.algo, uuid }, body: bodyOf('model') }, ann);
    else if (type === 'output') {
      const params = { order: crypto.randomUUID(), attempt: 1 };
      await api.stageResult({ params, query: { type, uuid, owner: 'ann' }, body: bodyOf(OUTPUT) });
      await api.publishResult({ params, query: {} });
    } else {
      const name = type === 'problem' || type === 'algo' ? [['name', 'n'] as const] : [];
      const description = type === 'problem' ? [['description', 'd'] as const] : [];
      const form = formOf(['uuid', uuid], ...name, ...description, ['size', '1'], ['blob', type]);
      await api.upload({ params: { type }, query: {}, body: form }, ann);
    }
    uuids[type] = uuid;
    await api.setPermissions({ params: { type, uuid }, body: said }, ann);
  }
  return uuids as Record<ResourceType, string>;
}

async function addGroups({ database }: TestStorage): Promise<void> {
  await database.write(async (tx) => {
    const person = { name: 'bob', roles: '["reader"]', created_at: 1, removed_at: null };
    await tx.insertInto('people').values(person).execute();
    const groups = ['vision', 'audio'].map((name) => ({ name, created_at: 1 }));
    await tx.insertInto('people_groups').values(groups).execute();
    await tx.insertInto('people_members').values({ group_name: 'vision', person: 'bob' }).execute();
  });
}

async function outcomeOf(asked: Promise<unknown>): Promise<string> {
  try {
    const answer = await asked;
    if (answer instanceof Object && 'body' in answer && answer.body instanceof ReadableStream)
      await answer.body.cancel();
    return 'done';
  } catch (error) {
    if (!isPlatformError(error)) throw error;
    // The algorithm of a model that is there is not deleted, whoever asks.
    return error.code === 'in_use' ? 'done' : error.code;
  }
}

function expectedOf(type: ResourceType, action: Action, relation: Relation): string {
  if (isAllowed(type, action, relation)) return 'done';
  return isAllowed(type, 'describe', relation) ? 'forbidden' : 'not_found';
}

test('Every route of storage-api is in the walk, or in the list of those that name no resource of somebody', (t) => {
  const people =
    /^(list|get|set|put|remove|restore|add|create|revoke|leave|join)?.*(People|Person|Group|Member|Token|Directory)s?$/i;
  const left = Object.keys(storageContract.endpoints).filter(
    (route) => !(route in ROUTES) && !OTHERS.some((other) => other === route) && !people.test(route),
  );
  t.deepEqual(left, []);
});

test('Every route does for everybody what the table of permissions allows, whatever the role', async (t) => {
  await using storage = await openTestStorage();
  await addGroups(storage);
  const roles = CREDENTIAL_ROLES.filter((role) => role !== 'admin');
  let calls = 0;
  for (const role of roles) {
    for (const [relation, name, said] of WAYS) {
      const uuids = await uploadAll(storage, said);
      const call = as(name, relation === 'admin' ? 'admin' : role);
      for (const type of RESOURCE_TYPES.toReversed()) {
        const why = `${type} as ${relation} (${role}, ${JSON.stringify(said)})`;
        await checkShown(t, storage, { type, uuid: uuids[type], relation, call, why });
        for (const [route, [action, ask]] of Object.entries(ROUTES)) {
          const asked = ask(storage, type, uuids[type], call);
          if (asked === undefined) continue;
          calls += 1;
          t.is(await outcomeOf(asked), expectedOf(type, action, relation), `${route} ${why}`);
        }
      }
    }
  }
  t.log(`${calls} calls`);
  t.deepEqual(new Set(WAYS.map(([relation]) => relation)), new Set(RELATIONS));
});

interface Shown {
  readonly type: ResourceType;
  readonly uuid: string;
  readonly relation: Relation;
  readonly call: Call;
  readonly why: string;
}

/** In a list and by itself a resource is there, and has size and digest, where the table says so. */
async function checkShown(
  t: ExecutionContext,
  { api }: TestStorage,
  { type, uuid, relation, call, why }: Shown,
): Promise<void> {
  const { items, total } = await api.list({ params: { type }, query: { limit: 1 } }, call);
  const listed = items.find((item) => item.uuid === uuid);
  t.is(listed !== undefined, isAllowed(type, 'describe', relation), `list of ${why}`);
  if (relation === 'none')
    t.is(
      items.some((item) => item.uuid === uuid),
      false,
    );
  t.true(total >= items.length);
  if (listed === undefined) return;
  const single = await api.get({ params: { type, uuid } }, call);
  for (const shown of [listed, single])
    t.is('sha256' in shown && 'size' in shown, isAllowed(type, 'measure', relation), `digest of ${why}`);
}
