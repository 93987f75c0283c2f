import { type Call, MOST_TOKENS, type Role } from '@morpheo/common';
import { refused } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { learnRequest, NAMED, pin, uploadNamed } from '../testing/pins.ts';
import { formOf, id } from '../testing/requests.ts';

const as = (name: string, ...roles: Role[]): Call => ({ principal: { name, roles } });
const ADMIN = as('root', 'admin');
const named = (name: string) => ({ params: { name } });

testOnEngines('People are added, listed, changed and removed by an admin', async (t, open) => {
  await using storage = await open();
  const { api } = storage;
  for (const name of ['bob', 'ann', 'zoë']) {
    await api.putPerson({ ...named(name), body: { roles: ['uploader', 'reader', 'reader'] } }, ADMIN);
  }
  const ann = await api.getPerson(named('ann'), ADMIN);
  t.like(ann, { name: 'ann', roles: ['uploader', 'reader'], groups: [], tokens: 0 });
  t.is(Date.parse(ann.created_at) <= Date.now(), true);
  t.deepEqual(await api.putPerson({ ...named('ann'), body: { roles: ['reader'] } }, ADMIN), {
    ...ann,
    roles: ['reader'],
  });
  const first = await api.listPeople({ query: { limit: 2 } }, ADMIN);
  t.deepEqual(
    first.items.map(({ name }) => name),
    ['ann', 'bob'],
  );
  const { items, next } = await api.listPeople({ query: { limit: 2, cursor: first.next } }, ADMIN);
  t.deepEqual([items.map(({ name }) => name), next], [['zoë'], undefined]);
  await api.removePerson(named('ann'), ADMIN);
  await refused(t, api.getPerson(named('ann'), ADMIN), 'not_found', /^There is no person of the name ann\./);
  await refused(t, api.removePerson(named('ann'), ADMIN), 'not_found');
});

testOnEngines('Who is removed leaves what is owned, and the name to nobody else', async (t, open) => {
  await using storage = await open();
  const { api, database } = storage;
  await api.putPerson({ ...named('ann'), body: { roles: ['uploader'] } }, ADMIN);
  await api.makeToken({ ...named('ann'), body: {} }, ADMIN);
  await api.putGroup(named('vision'), ADMIN);
  await api.addMember({ params: { name: 'vision', person: 'ann' } }, ADMIN);
  const form = formOf(['uuid', id(1)], ['size', '5'], ['blob', 'bytes']);
  await api.upload({ params: { type: 'data' }, query: {}, body: form }, as('ann', 'uploader'));
  t.deepEqual(await api.removePerson(named('ann'), ADMIN), { name: 'ann', owns: { things: 1, bytes: 5 } });
  const { owner } = await database.read.selectFrom('resources').select('owner').executeTakeFirstOrThrow();
  t.is(owner, 'ann');
  const again = { ...named('ann'), body: { roles: ['reader' as const] } };
  await refused(
    t,
    api.putPerson(again, ADMIN),
    'conflict',
    /^ann was removed on \d{4}-\d\d-\d\d: whoever gets/,
  );
  await api.putPerson({ ...again, body: { ...again.body, restore: true } }, ADMIN);
  const { created_at: _, ...ann } = await api.getPerson(named('ann'), ADMIN);
  t.deepEqual(ann, { name: 'ann', roles: ['reader'], groups: [], tokens: 0 }, 'with nothing that was taken');
});

testOnEngines('No admin is left out by own hand', async (t, open) => {
  await using storage = await open();
  const { api } = storage;
  const roles = { roles: ['admin' as const] };
  await api.putPerson({ ...named('ann'), body: roles }, ADMIN);
  const ann = as('ann', 'admin');
  await refused(t, api.removePerson(named('ann'), ann), 'wrong_state', /^You cannot remove yourself/);
  const lesser = { ...named('ann'), body: { roles: ['reader' as const] } };
  await refused(t, api.putPerson(lesser, ann), 'wrong_state', /^You cannot drop the role admin/);
  await api.putPerson({ ...named('ann'), body: { roles: ['admin', 'reader'] } }, ann);
  await api.putPerson(lesser, ADMIN);
});

testOnEngines(
  'A token is shown once; a person makes and revokes own ones, an admin those of all',
  async (t, open) => {
    await using storage = await open();
    const { api, database } = storage;
    await api.putPerson({ ...named('ann'), body: { roles: ['reader'] } }, ADMIN);
    await api.putPerson({ ...named('bob'), body: { roles: ['reader'] } }, ADMIN);
    const ann = as('ann', 'reader');
    const made = await api.makeToken({ ...named('ann'), body: { label: 'laptop' } }, ann);
    t.regex(made.token, new RegExp(`^ann\\.${made.id}\\.[\\w-]{43}$`));
    const { token, ...shown } = made;
    t.deepEqual(await api.listTokens(named('ann'), ann), { items: [shown] });
    const kept = JSON.stringify(await database.read.selectFrom('people_tokens').selectAll().execute());
    t.false(kept.includes(token.split('.')[2] ?? ''), 'the secret is nowhere');
    const others = [
      api.listTokens(named('bob'), ann),
      api.makeToken({ ...named('bob'), body: {} }, ann),
      api.revokeToken({ params: { name: 'bob', id: made.id } }, ann),
      api.getPerson(named('bob'), ann),
    ];
    for (const other of others) await refused(t, other, 'forbidden', /takes the role admin/);
    await refused(t, api.revokeToken({ params: { name: 'bob', id: made.id } }, ADMIN), 'not_found');
    await api.revokeToken({ params: { name: 'ann', id: made.id } }, ann);
    await refused(t, api.revokeToken({ params: { name: 'ann', id: made.id } }, ann), 'not_found');
    await refused(
      t,
      api.makeToken({ ...named('eve'), body: {} }, as('eve', 'reader')),
      'not_found',
      /credentials files/,
    );
  },
);

testOnEngines('A person has a bounded number of tokens', async (t, open) => {
  await using storage = await open();
  const { api } = storage;
  await api.putPerson({ ...named('ann'), body: { roles: ['reader'] } }, ADMIN);
  const make = async () => await api.makeToken({ ...named('ann'), body: {} }, ADMIN);
  for (let count = 0; count < MOST_TOKENS; count += 1) await make();
  await refused(t, make(), 'wrong_state', /^ann has 50 tokens, which is the most\./);
});

testOnEngines('Groups have members, and take what was granted to them along', async (t, open) => {
  await using storage = await open();
  const { api, database } = storage;
  await api.putPerson({ ...named('ann'), body: { roles: ['reader'] } }, ADMIN);
  await api.putPerson({ ...named('bob'), body: { roles: ['reader'] } }, ADMIN);
  const created = await api.putGroup(named('vision'), ADMIN);
  t.deepEqual(created.members, []);
  const member = (person: string, name = 'vision') => ({ params: { name, person } });
  await api.addMember(member('bob'), ADMIN);
  await api.addMember(member('ann'), ADMIN);
  await api.addMember(member('ann'), ADMIN);
  const vision = { ...created, members: ['ann', 'bob'] };
  t.deepEqual(await api.putGroup(named('vision'), ADMIN), vision, 'nothing changes where it is there');
  t.deepEqual(await api.listGroups({ query: {} }, ADMIN), { items: [vision] });
  t.deepEqual((await api.getPerson(named('ann'), ADMIN)).groups, ['vision']);
  t.deepEqual(await api.getGroup(named('vision'), as('ann', 'reader')), vision);
  await refused(t, api.addMember(member('eve'), ADMIN), 'not_found', /no person of the name eve/);
  await refused(
    t,
    api.addMember(member('ann', 'audio'), ADMIN),
    'not_found',
    'There is no group of the name audio.',
  );
  await api.removeMember(member('ann'), ADMIN);
  await refused(t, api.removeMember(member('ann'), ADMIN), 'not_found', 'ann is not in the group vision.');
  for (const name of ['vision', 'no-such-group']) {
    await refused(
      t,
      api.getGroup(named(name), as('ann', 'reader')),
      'forbidden',
      /a group that you are not in/,
    );
  }
  await database.write(async (transaction) => {
    const grant = { type: 'data' as const, uuid: id(1), grantee: 'group:vision' };
    await transaction
      .insertInto('grants')
      .values([grant, { ...grant, grantee: 'group:audio' }])
      .execute();
  });
  t.deepEqual(await api.removeGroup(named('vision'), ADMIN), { name: 'vision', grants: 1 });
  t.is((await database.read.selectFrom('grants').selectAll().execute()).length, 1);
  await refused(t, api.removeGroup(named('vision'), ADMIN), 'not_found');
  t.deepEqual((await api.getPerson(named('bob'), ADMIN)).groups, []);
});

testOnEngines('Changes of one person at once leave nothing behind that nobody asked for', async (t, open) => {
  await using storage = await open();
  const { api, database } = storage;
  for (let round = 0; round < 5; round += 1) {
    await api.putPerson({ ...named('ann'), body: { roles: ['reader'], restore: true } }, ADMIN);
    await api.putGroup(named('vision'), ADMIN);
    await Promise.allSettled([
      api.makeToken({ ...named('ann'), body: {} }, ADMIN),
      api.addMember({ params: { name: 'vision', person: 'ann' } }, ADMIN),
      api.removePerson(named('ann'), ADMIN),
      api.makeToken({ ...named('ann'), body: {} }, ADMIN),
      api.removeGroup(named('vision'), ADMIN),
    ]);
    await t.throwsAsync(api.getPerson(named('ann'), ADMIN));
    for (const table of ['people_tokens', 'people_members'] as const) {
      t.deepEqual(await database.read.selectFrom(table).selectAll().execute(), [], table);
    }
  }
});

testOnEngines(
  'Who is put into a group may use what it was granted from the next order on, and not once taken out',
  async (t, open) => {
    await using storage = await open();
    const { api, database } = storage;
    await uploadNamed(storage);
    await api.putPerson({ ...named('bob'), body: { roles: ['uploader'] } }, ADMIN);
    await api.putGroup(named('vision'), ADMIN);
    await database.write(async (transaction) => {
      await transaction.updateTable('resources').set({ visibility: 'private' }).execute();
      const grants = (
        [
          ['problem', NAMED.problem],
          ['algo', NAMED.algo],
          ['data', NAMED.train],
          ['data', NAMED.test],
        ] as const
      ).map(([type, uuid]) => ({ type, uuid, grantee: 'group:vision' }));
      await transaction.insertInto('grants').values(grants).execute();
    });
    const member = { params: { name: 'vision', person: 'bob' } };
    const outcome = async (number: number) =>
      (await pin(storage, learnRequest(number, { owner: 'bob' }))).outcome;
    t.is(await outcome(1), 'refused');
    await api.addMember(member, ADMIN);
    t.is(await outcome(2), 'pinned');
    await api.removeMember(member, ADMIN);
    t.is(await outcome(3), 'refused');
    t.is(await outcome(2), 'pinned', 'what is pinned stays');
    await api.putPerson({ ...named('bob'), body: { roles: ['admin'] } }, ADMIN);
    t.is(await outcome(4), 'pinned', 'an admin may use all');
  },
);
