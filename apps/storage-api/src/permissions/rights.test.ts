import { ANONYMOUS, type Purpose, type ResourceType, type UsedAs } from '@morpheo/common';
import { addResource, type NewResource } from '../metadata/resources.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { id } from '../testing/requests.ts';
import type { Asker, PermissionRules } from './relations.ts';
import { rightsOf, type Use } from './rights.ts';

const RULES: PermissionRules = { legacy: 'open', anonymousGrants: 'open' };
const [PROBLEM, OTHER, ALGO, DATA] = [id(1), id(2), id(3), id(4)];

function asker(person: string, extra: Partial<Asker> = {}): Asker {
  return { person, admin: false, groups: [], ...extra };
}

async function add(storage: TestStorage, resource: NewResource): Promise<void> {
  await addResource(storage.database, resource, { digest: 'a'.repeat(64), size: 1 });
}

async function grant(storage: TestStorage, type: ResourceType, uuid: string, grantee: string): Promise<void> {
  await storage.database.write((tx) => tx.insertInto('grants').values({ type, uuid, grantee }).execute());
}

function use(as: UsedAs, uuid: string): Use {
  const type = as === 'problem' || as === 'algo' || as === 'model' ? as : 'data';
  return { type, uuid, as };
}

/** What an order of this person lacks, each as `type need`. */
async function lacks(
  storage: TestStorage,
  who: Asker,
  uses: readonly Use[],
  { outputsOpen = false, ...rules }: Partial<PermissionRules & { outputsOpen: boolean }> = {},
): Promise<string[]> {
  const asking = { ...who, rules: { ...RULES, ...rules }, outputsOpen };
  const { missing } = await storage.database.write((tx) => rightsOf(tx, asking, uses));
  return missing.map(({ type, need, owner }) => `${type} ${need} ${owner}`);
}

testOnEngines(
  'An order may name what its owner owns, was granted, or finds open, and nothing else',
  async (t, open) => {
    await using storage = await open();
    await add(storage, { type: 'algo', uuid: ALGO, owner: 'alice' });
    await add(storage, { type: 'problem', uuid: PROBLEM, owner: 'carol', visibility: 'open' });
    const uses = [use('problem', PROBLEM), use('algo', ALGO)];
    t.deepEqual(await lacks(storage, asker('alice'), uses), []);
    t.deepEqual(await lacks(storage, asker('root', { admin: true }), uses), []);
    t.deepEqual(await lacks(storage, asker('bob'), uses), ['algo use alice']);
    await grant(storage, 'algo', ALGO, 'group:team');
    t.deepEqual(await lacks(storage, asker('bob'), uses), ['algo use alice']);
    t.deepEqual(await lacks(storage, asker('bob', { groups: ['team'] }), uses), []);
    await grant(storage, 'algo', ALGO, 'person:bob');
    t.deepEqual(await lacks(storage, asker('bob'), uses), []);
  },
);

testOnEngines('What is granted under an id of one type says nothing of another type', async (t, open) => {
  await using storage = await open();
  await add(storage, { type: 'algo', uuid: ALGO, owner: 'alice' });
  await grant(storage, 'data', ALGO, 'person:bob');
  t.deepEqual(await lacks(storage, asker('bob'), [use('algo', ALGO)]), ['algo use alice']);
});

testOnEngines(
  'Data that is granted to a problem may be named in orders of that problem alone',
  async (t, open) => {
    await using storage = await open();
    await add(storage, { type: 'problem', uuid: PROBLEM, owner: 'carol', visibility: 'open' });
    await add(storage, { type: 'problem', uuid: OTHER, owner: 'bob' });
    await add(storage, { type: 'data', uuid: DATA, owner: 'alice', purpose: 'train' });
    await grant(storage, 'data', DATA, `problem:${PROBLEM}`);
    const under = (problem: string) => [use('problem', problem), use('train', DATA)];
    t.deepEqual(await lacks(storage, asker('bob'), under(PROBLEM)), []);
    t.deepEqual(await lacks(storage, asker('bob'), under(OTHER)), ['data use alice']);
    await grant(storage, 'data', DATA, `problem:${id(98)}`);
    t.deepEqual(
      await lacks(storage, asker('bob'), under(id(98))),
      ['data use alice'],
      'of a problem that is not there',
    );
  },
);

testOnEngines(
  'The purpose of a data set holds for everybody, its owner and admins included',
  async (t, open) => {
    await using storage = await open();
    for (const problem of [PROBLEM, id(99)])
      await add(storage, { type: 'problem', uuid: problem, visibility: 'open' });
    const purposes: readonly Purpose[] = ['train', 'test', 'predict', 'open'];
    for (const [n, purpose] of purposes.entries()) {
      const problems = purpose === 'test' ? [OTHER, PROBLEM] : [];
      await add(storage, { type: 'data', uuid: id(10 + n), owner: 'alice', purpose, problems });
    }
    const allowed = async (who: Asker, as: 'train' | 'test' | 'predict', problem: string) => {
      const missing = await lacks(
        storage,
        who,
        purposes.map((_, n) => use(as, id(10 + n))).concat({ type: 'problem', uuid: problem, as: 'problem' }),
      );
      return purposes.length - missing.filter((one) => one === `data ${as} alice`).length;
    };
    for (const who of [asker('alice'), asker('root', { admin: true })]) {
      for (const as of ['train', 'test', 'predict'] as const) t.is(await allowed(who, as, PROBLEM), 2, as);
      t.is(await allowed(who, 'test', id(99)), 1, 'under a problem that is not named');
    }
  },
);

testOnEngines(
  'Anonymous orders own nothing: they may use nothing, what is open, or all, for its purpose',
  async (t, open) => {
    await using storage = await open();
    await add(storage, { type: 'problem', uuid: PROBLEM, visibility: 'open' });
    await add(storage, { type: 'algo', uuid: ALGO, owner: '' });
    await add(storage, { type: 'model', uuid: id(5), owner: ANONYMOUS });
    await add(storage, { type: 'data', uuid: DATA, owner: 'alice', purpose: 'test', problems: [PROBLEM] });
    const uses = [use('problem', PROBLEM), use('algo', ALGO), use('model', id(5)), use('train', DATA)];
    const as = (anonymousGrants: PermissionRules['anonymousGrants']) =>
      lacks(storage, asker(ANONYMOUS), uses, { anonymousGrants });
    const hidden = ['algo use ', 'model use anonymous', 'data use alice'];
    t.deepEqual(await as('none'), ['problem use ', ...hidden]);
    t.deepEqual(await as('open'), hidden);
    t.deepEqual(await as('all'), ['data train alice']);
  },
);

testOnEngines(
  'What is from before there were owners is open to orders until the operator closes it',
  async (t, open) => {
    await using storage = await open();
    await add(storage, { type: 'algo', uuid: ALGO });
    await storage.database.write((tx) => tx.updateTable('resources').set({ visibility: 'legacy' }).execute());
    t.deepEqual(await lacks(storage, asker('bob'), [use('algo', ALGO)]), []);
    t.deepEqual(await lacks(storage, asker('bob'), [use('algo', ALGO)], { legacy: 'closed' }), ['algo use ']);
  },
);

testOnEngines('What is not there is passed over', async (t, open) => {
  await using storage = await open();
  t.deepEqual(await lacks(storage, asker('bob'), [use('algo', ALGO), use('train', DATA)]), []);
  t.deepEqual(await lacks(storage, asker('bob'), []), []);
});

testOnEngines(
  'What a job takes as an input its owner may read: whatever else may be done with it is not enough',
  async (t, open) => {
    await using storage = await open();
    const types: readonly ResourceType[] = ['problem', 'algo', 'model', 'data', 'prediction', 'output'];
    const uses = types.map((type): Use => ({ type, uuid: id(10), as: 'input' }));
    for (const type of types) await add(storage, { type, uuid: id(10), owner: 'alice' });
    t.deepEqual(await lacks(storage, asker('alice'), uses), []);
    t.deepEqual(await lacks(storage, asker('root', { admin: true }), uses), []);
    t.deepEqual(
      await lacks(storage, asker('bob'), uses),
      types.map((type) => `${type} read alice`),
    );
    for (const type of types) await grant(storage, type, id(10), 'person:bob');
    const hidden = ['data read alice', 'prediction read alice'];
    t.deepEqual(await lacks(storage, asker('bob'), uses), hidden);
    await storage.database.write((tx) =>
      tx.updateTable('resources').set({ visibility: 'open', purpose: 'train' }).execute(),
    );
    t.deepEqual(await lacks(storage, asker('eve'), uses), hidden);
    t.deepEqual(await lacks(storage, asker('alice'), uses), [], 'a purpose is of no matter');
    const anonymous = asker(ANONYMOUS);
    t.deepEqual(await lacks(storage, anonymous, uses, { anonymousGrants: 'all' }), hidden);
    t.deepEqual(await lacks(storage, anonymous, uses, { anonymousGrants: 'all', outputsOpen: true }), []);
  },
);
