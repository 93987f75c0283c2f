import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';

const created_at = '2026-01-02T03:04:05.000Z';

test('People are listed and set, and one without a token is told of', async (t) => {
  const ann = {
    name: 'ann',
    roles: ['uploader', 'reader'] as const,
    groups: ['vision'],
    tokens: 2,
    created_at,
  };
  const asked: unknown[] = [];
  await using platform = await fakePlatform({
    storage: {
      listPeople: async ({ query }) =>
        query.cursor === undefined
          ? { items: [{ ...ann, roles: [...ann.roles] }], next: 'ann' }
          : { items: [{ ...ann, name: 'bob', roles: ['admin'], groups: [], tokens: 0 }] },
      putPerson: async ({ params, body }) => {
        asked.push(params, body);
        return { ...ann, ...params, roles: body.roles, groups: [], tokens: 0 };
      },
    },
  });
  const { env } = platform;
  const { stdout } = await morpheo(['people'], { env });
  t.regex(stdout, /^ann +uploader, reader +vision +2$/m);
  t.regex(stdout, /^bob +admin +– +0$/m);
  const set = await morpheo(['people', 'set', 'eve', '--roles', 'uploader, reader'], { env });
  t.deepEqual(asked, [{ name: 'eve' }, { roles: ['uploader', 'reader'] }]);
  t.regex(set.stdout, /eve has no token yet: morpheo tokens create --of eve\n$/);
  const wrong = await morpheo(['people', 'set', 'eve', '--roles', 'king'], { env });
  t.not(wrong.code, 0);
  t.regex(wrong.stderr, /Roles are admin, orchestrator, compute, worker, uploader, reader\./);
});

test('Who is removed leaves things, which is said', async (t) => {
  await using platform = await fakePlatform({
    storage: { removePerson: async ({ params }) => ({ ...params, owns: { things: 3, bytes: 2_500_000 } }) },
  });
  const { stdout } = await morpheo(['people', 'remove', 'ann'], { env: platform.env });
  t.is(
    stdout,
    'ann is let in no more. 3 things (2.50 MB) stay under the name: an admin may share or delete them.\n',
  );
});

test('People are put into a group and taken out of it', async (t) => {
  const calls: string[] = [];
  const members: string[] = [];
  await using platform = await fakePlatform({
    storage: {
      putGroup: async ({ params: { name } }) => ({ name, members, created_at }),
      getGroup: async ({ params: { name } }) => ({ name, members, created_at }),
      addMember: async ({ params: { name, person } }) => {
        calls.push(`${name} + ${person}`);
        members.push(person);
        return undefined;
      },
      removeMember: async ({ params: { name, person } }) => {
        calls.push(`${name} - ${person}`);
        members.splice(members.indexOf(person), 1);
        return undefined;
      },
      removeGroup: async ({ params: { name } }) => ({ name, grants: 4 }),
    },
  });
  const { env } = platform;
  t.regex((await morpheo(['groups', 'add', 'vision', 'ann', 'bob'], { env })).stdout, /^vision +ann, bob$/m);
  t.regex((await morpheo(['groups', 'take', 'vision', 'ann'], { env })).stdout, /^vision +bob$/m);
  t.deepEqual(calls, ['vision + ann', 'vision + bob', 'vision - ann']);
  const deleted = await morpheo(['groups', 'delete', 'vision'], { env });
  t.is(deleted.stdout, 'The group vision is gone, and 4 grants to it.\n');
});

test('A token is made for the caller, or another, and shown as it is set', async (t) => {
  const revoked: unknown[] = [];
  await using platform = await fakePlatform({
    storage: {
      makeToken: async ({ params: { name }, body: { label = '' } }) => ({
        ...{ id: 'abc', label, created_at },
        token: `${name}.abc.secret`,
      }),
      listTokens: async ({ params: { name } }) => {
        if (name === 'nobody') throw new PlatformError('not_found', 'There is no person of the name nobody.');
        return { items: ['abc', 'def'].map((id) => ({ id, label: name, created_at })) };
      },
      revokeToken: async ({ params }) => {
        revoked.push(params);
        return undefined;
      },
    },
  });
  const { env } = platform;
  const own = await morpheo(['tokens', 'create'], { env });
  t.regex(own.stdout, /^ {2}MORPHEO_USER=admin\n {2}MORPHEO_PASSWORD=abc\.secret$/m);
  t.regex(own.stdout, /Authorization: Bearer admin\.abc\.secret\n$/);
  t.regex((await morpheo(['tokens', 'create', '--of', 'ann'], { env })).stdout, /Bearer ann\.abc\.secret/);
  t.regex(
    (await morpheo(['tokens', '--of', 'ann'], { env })).stdout,
    /^abc +2026-01-02T03:04:05\.000Z +ann$/m,
  );
  await morpheo(['tokens', 'revoke', 'abc'], { env });
  await morpheo(['tokens', 'revoke', '--all', '--of', 'ann'], { env });
  t.deepEqual(revoked, [
    { name: 'admin', id: 'abc' },
    { name: 'ann', id: 'abc' },
    { name: 'ann', id: 'def' },
  ]);
  for (const argv of [['revoke'], ['revoke', 'abc', '--all']]) {
    const wrong = await morpheo(['tokens', ...argv], { env });
    t.regex(wrong.stderr, /Name one token by its id, or say --all\./);
  }
  t.is(revoked.length, 3);
  const missing = await morpheo(['tokens', '--of', 'nobody'], { env });
  t.regex(missing.stderr, /There is no person of the name nobody\./);
});
