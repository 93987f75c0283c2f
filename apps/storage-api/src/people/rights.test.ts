import { testOnEngines } from '../testing/on-engines.ts';
import { createPeopleRights } from './rights.ts';

testOnEngines('A person is in the groups that name it, and an admin by its roles', async (t, open) => {
  await using storage = await open();
  const { database } = storage;
  await database.write(async (transaction) => {
    const person = { roles: '["uploader"]', created_at: 1, removed_at: null };
    await transaction
      .insertInto('people')
      .values([
        { ...person, name: 'ann' },
        { ...person, name: 'root', roles: '["reader","admin"]' },
        { ...person, name: 'gone', roles: '["admin"]', removed_at: 2 },
      ])
      .execute();
    await transaction
      .insertInto('people_groups')
      .values(['vision', 'audio', 'text'].map((name) => ({ name, created_at: 1 })))
      .execute();
    await transaction
      .insertInto('people_members')
      .values([
        { group_name: 'vision', person: 'ann' },
        { group_name: 'audio', person: 'ann' },
        { group_name: 'text', person: 'root' },
        { group_name: 'text', person: 'gone' },
      ])
      .execute();
  });
  const rights = createPeopleRights((name) =>
    name === 'operator' ? ['admin'] : name === 'root' ? ['reader'] : undefined,
  );
  const groups = async (name: string) => await rights.groupsOf(database.read, name);
  t.deepEqual(await groups('ann'), ['audio', 'vision']);
  t.deepEqual(await groups('gone'), [], 'a removed person is in none');
  t.deepEqual(await groups('nobody'), []);
  const isAdmin = async (name: string) => await rights.isAdmin(database.read, name);
  t.false(await isAdmin('ann'));
  t.true(await isAdmin('operator'));
  t.false(await isAdmin('root'), 'who is in the credentials file is nobody else');
  t.false(await isAdmin('gone'));
  t.true(await createPeopleRights(() => undefined).isAdmin(database.read, 'root'));
});
