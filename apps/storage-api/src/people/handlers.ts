import { type Api, type Call, PlatformError, type StorageContract } from '@morpheo/common';
import type { StorageDatabase } from '../metadata/schema.ts';
import type { PeopleDirectory } from './directory.ts';
import { addMember, getGroup, listGroups, putGroup, removeGroup, removeMember } from './groups.ts';
import type { FileRoles } from './rights.ts';
import {
  drawToken,
  getPerson,
  keepToken,
  listPeople,
  listTokens,
  putPerson,
  removePerson,
  revokeToken,
} from './store.ts';

/** What the handlers of people work with. */
export interface PeopleParts {
  readonly database: StorageDatabase;
  readonly directory: PeopleDirectory;
  readonly ofFile: FileRoles;
}

type Handlers<Key extends keyof Api<StorageContract>> = Pick<Api<StorageContract>, Key>;

/** The handlers of people and their tokens, and of the directory. */
export function peopleHandlers({
  database,
  directory,
  ofFile,
}: PeopleParts): Handlers<
  | 'getDirectory'
  | 'listPeople'
  | 'getPerson'
  | 'putPerson'
  | 'removePerson'
  | 'listTokens'
  | 'makeToken'
  | 'revokeToken'
> {
  return {
    getDirectory: async ({ headers }) => await directory.answer(headers['if-none-match']),
    listPeople: async ({ query }) => await listPeople(database.read, query),
    async getPerson({ params: { name } }, call) {
      requireSelf(call, name);
      return await getPerson(database.read, name);
    },
    async putPerson({ params: { name }, body }, call) {
      if (ofFile(name) !== undefined) throw inFile(name);
      if (isSelf(call, name) && !body.roles.includes('admin'))
        throw alone('drop the role admin from yourself');
      const person = await database.write(async (transaction) => {
        await putPerson(transaction, name, { ...body, now: Date.now() });
        return await getPerson(transaction, name);
      });
      await directory.changed();
      return person;
    },
    async removePerson({ params: { name } }, call) {
      if (isSelf(call, name)) throw alone('remove yourself');
      const owns = await database.write(
        async (transaction) => await removePerson(transaction, name, Date.now()),
      );
      await directory.changed();
      return { name, owns };
    },
    async listTokens({ params: { name } }, call) {
      requireSelf(call, name);
      return { items: await listTokens(database.read, name) };
    },
    async makeToken({ params: { name }, body: { label = '' } }, call) {
      requireSelf(call, name);
      const { row, secret } = await drawToken(name, label, Date.now());
      const token = await database.write(async (transaction) => await keepToken(transaction, row));
      await directory.changed();
      return { ...token, token: `${name}.${secret}` };
    },
    async revokeToken({ params: { name, id } }, call) {
      requireSelf(call, name);
      await database.write(async (transaction) => await revokeToken(transaction, name, id));
      await directory.changed();
      return undefined;
    },
  };
}

/** The handlers of groups. */
export function groupHandlers({
  database,
}: Pick<PeopleParts, 'database'>): Handlers<
  'listGroups' | 'getGroup' | 'putGroup' | 'removeGroup' | 'addMember' | 'removeMember'
> {
  return {
    listGroups: async ({ query }) => await listGroups(database.read, query),
    async getGroup({ params: { name } }, call) {
      if (isAdmin(call)) return await getGroup(database.read, name);
      const caller = call?.principal?.name ?? '';
      const group = await getGroup(database.read, name).catch(() => undefined);
      // The same for one that is not there: who is in none of them does not learn which there are.
      if (group?.members.includes(caller) !== true) throw notYours('a group that you are not in');
      return group;
    },
    putGroup: async ({ params: { name } }) =>
      await database.write(async (transaction) => {
        await putGroup(transaction, name, Date.now());
        return await getGroup(transaction, name);
      }),
    removeGroup: async ({ params: { name } }) => ({
      name,
      grants: await database.write(async (transaction) => await removeGroup(transaction, name)),
    }),
    async addMember({ params: { name, person } }) {
      await database.write(async (transaction) => await addMember(transaction, name, person));
      return undefined;
    },
    async removeMember({ params: { name, person } }) {
      await database.write(async (transaction) => await removeMember(transaction, name, person));
      return undefined;
    },
  };
}

function isAdmin(call: Call | undefined): boolean {
  return call?.principal?.roles.includes('admin') ?? false;
}

function isSelf(call: Call | undefined, name: string): boolean {
  return call?.principal?.name === name;
}

function requireSelf(call: Call | undefined, name: string): void {
  if (!isSelf(call, name) && !isAdmin(call)) throw notYours('another person');
}

function notYours(what: string): PlatformError {
  const message = `This is about ${what}: it takes the role admin.`;
  return new PlatformError('forbidden', message, { details: { roles: ['admin'] } });
}

function alone(what: string): PlatformError {
  return new PlatformError(
    'wrong_state',
    `You cannot ${what}: nobody might be left who can give it back. Let another admin do it.`,
  );
}

function inFile(name: string): PlatformError {
  return new PlatformError(
    'conflict',
    `${name} is a caller of the credentials of storage-api (--credentials, --user), and nobody else can have the ` +
      'name. Take it out there first, or choose another name.',
  );
}
