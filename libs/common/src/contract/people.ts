import * as z from 'zod';
import { ANYONE_KNOWN, bytes, CREDENTIAL_ROLES, type CredentialRole, json, nothing } from './contract.ts';
import { pageQuery, timestamp } from './service.ts';

/** What a caller may be called: 1 to 100 characters without dot, colon, white space and control characters. */
export const CALLER_NAME = /^[^.:\s\p{Cc}]{1,100}$/u;

/** Who has no name of its own: see `ANONYMOUS`, and who calls where nobody is asked for credentials. */
const RESERVED: readonly string[] = ['anonymous', 'anybody'];

/**
 * The name of a person or a group: that of a caller which can stand in a path, written in one way alone (NFC), and no
 * word that stands for everybody.
 */
export const personName = z
  .string()
  .regex(
    // No classes of Unicode: the pattern stands in the OpenAPI document, and few of its readers know them.
    /^[^.:\s/\\#?%]{1,100}$/,
    'should be 1 to 100 characters without dot, colon, space, slash, backslash, #, ? and %',
  )
  .refine((name) => CALLER_NAME.test(name), 'should have no control characters')
  .refine((name) => name === name.normalize('NFC'), 'should be in the normal form NFC of Unicode')
  .refine((name) => !RESERVED.includes(name), 'stands for everybody');

/** The most tokens that a person may have at a time. */
export const MOST_TOKENS = 50;

const roles = z.array(z.enum(CREDENTIAL_ROLES)).min(1).max(CREDENTIAL_ROLES.length);

const person = z.object({
  name: z.string(),
  roles,
  /** The names of the groups that the person is in. */
  groups: z.array(z.string()),
  /** How many tokens the person has. */
  tokens: z.int(),
  created_at: timestamp,
});

/** A person who may call the platform. */
export type Person = z.infer<typeof person>;

const token = z.object({
  /** The part of the token that is no secret. */
  id: z.string(),
  label: z.string(),
  created_at: timestamp,
});

/** A token of a person, without its secret. */
export type PersonToken = z.infer<typeof token>;

const group = z.object({ name: z.string(), members: z.array(z.string()), created_at: timestamp });

/** A group of people. */
export type Group = z.infer<typeof group>;

const page = { query: z.object(pageQuery) };
const named = { params: z.object({ name: personName }) };
const member = { params: z.object({ name: personName, person: personName }) };

/** Who may call, by the hashes of their tokens: for services, which let people in by it. */
export const directory = z.object({
  people: z.array(
    z.object({
      name: z.string(),
      /** Roles of a later version are left out. */
      roles: z.array(z.string()).transform((names) => names.filter(isCredentialRole)),
      tokens: z.array(z.object({ id: z.string(), secret_hash: z.string() })),
    }),
  ),
});

/** See {@link directory}. */
export type Directory = z.infer<typeof directory>;

function isCredentialRole(name: string): name is CredentialRole {
  return CREDENTIAL_ROLES.some((role) => role === name);
}

/** The routes of people, their tokens and groups. */
export const peopleEndpoints = {
  getDirectory: {
    method: 'GET',
    path: '/v1/directory',
    summary: 'Who may call, by the hashes of their tokens: for services, which let people in by it',
    description: 'With `If-None-Match` the answer is 304 while nothing has changed.',
    access: ['compute'],
    headers: z.object({ 'if-none-match': z.string().max(200).optional() }),
    status: 200,
    response: bytes('application/json'),
    errors: [],
  },
  listPeople: {
    method: 'GET',
    path: '/v1/people',
    summary: 'The people who may call, by name',
    access: ['admin'],
    ...page,
    status: 200,
    response: json(z.object({ items: z.array(person), next: z.string().optional() })),
    errors: ['invalid_request'],
  },
  getPerson: {
    method: 'GET',
    path: '/v1/people/:name',
    summary: 'A person: anybody may see themselves, an admin all',
    access: ANYONE_KNOWN,
    ...named,
    status: 200,
    response: json(person),
    errors: ['invalid_request', 'forbidden', 'not_found'],
  },
  putPerson: {
    method: 'PUT',
    path: '/v1/people/:name',
    summary: 'Add a person, or set the roles of one',
    description:
      'A new person has no token yet: make one. A name that a removed person had is refused, since what that person ' +
      'owned would go with it; `restore` brings the same person back. 409 too: the name is in the credentials file of ' +
      'storage-api, or an admin would drop the own role.',
    access: ['admin'],
    ...named,
    body: json(z.object({ roles, restore: z.boolean().optional() })),
    status: 200,
    response: json(person),
    errors: ['invalid_request', 'conflict', 'wrong_state'],
  },
  removePerson: {
    method: 'DELETE',
    path: '/v1/people/:name',
    summary: 'Remove a person: nobody may call by the name any more, and what the person owns keeps it',
    description:
      'The tokens are gone, and so are the memberships of groups. What the person owns stays, under the name, and an ' +
      'admin may change, share and delete it; the answer says how much that is. Orders go on. 409: nobody may ' +
      'remove themselves.',
    access: ['admin'],
    ...named,
    status: 200,
    response: json(z.object({ name: z.string(), owns: z.object({ things: z.int(), bytes: z.int() }) })),
    errors: ['invalid_request', 'not_found', 'wrong_state'],
  },
  listTokens: {
    method: 'GET',
    path: '/v1/people/:name/tokens',
    summary: 'The tokens of a person, the newest first: anybody may see their own, an admin all',
    access: ANYONE_KNOWN,
    ...named,
    status: 200,
    response: json(z.object({ items: z.array(token) })),
    errors: ['invalid_request', 'forbidden', 'not_found'],
  },
  makeToken: {
    method: 'POST',
    path: '/v1/people/:name/tokens',
    summary: 'Make a token of a person; it is shown this once. Anybody may make their own, an admin all',
    description:
      `The token is \`name.id.secret\`: send it as \`Authorization: Bearer\`, or \`id.secret\` as the password of the ` +
      `name. Other services than storage-api take it some seconds later. A person may have ${MOST_TOKENS}.`,
    access: ANYONE_KNOWN,
    ...named,
    body: json(
      z.object({
        label: z
          .string()
          .max(100)
          .refine((text) => !/\p{Cc}/u.test(text), 'should have no control characters')
          .optional(),
      }),
    ),
    status: 201,
    response: json(z.object({ ...token.shape, token: z.string() })),
    errors: ['invalid_request', 'forbidden', 'not_found', 'wrong_state'],
  },
  revokeToken: {
    method: 'DELETE',
    path: '/v1/people/:name/tokens/:id',
    summary: 'Revoke a token: storage-api refuses it at once, other services some seconds later',
    access: ANYONE_KNOWN,
    params: z.object({ name: personName, id: z.string().max(100) }),
    status: 204,
    response: nothing,
    errors: ['invalid_request', 'forbidden', 'not_found'],
  },
  listGroups: {
    method: 'GET',
    path: '/v1/groups',
    summary: 'The groups with their members, by name',
    access: ['admin'],
    ...page,
    status: 200,
    response: json(z.object({ items: z.array(group), next: z.string().optional() })),
    errors: ['invalid_request'],
  },
  getGroup: {
    method: 'GET',
    path: '/v1/groups/:name',
    summary: 'A group: its members may see it, an admin all',
    access: ANYONE_KNOWN,
    ...named,
    status: 200,
    response: json(group),
    errors: ['invalid_request', 'forbidden', 'not_found'],
  },
  putGroup: {
    method: 'PUT',
    path: '/v1/groups/:name',
    summary: 'Add a group; nothing changes where it is there',
    access: ['admin'],
    ...named,
    status: 200,
    response: json(group),
    errors: ['invalid_request'],
  },
  removeGroup: {
    method: 'DELETE',
    path: '/v1/groups/:name',
    summary: 'Remove a group, with all that was granted to it; the answer says how many grants that were',
    access: ['admin'],
    ...named,
    status: 200,
    response: json(z.object({ name: z.string(), grants: z.int() })),
    errors: ['invalid_request', 'not_found'],
  },
  addMember: {
    method: 'PUT',
    path: '/v1/groups/:name/members/:person',
    summary: 'Put a person into a group',
    access: ['admin'],
    ...member,
    status: 204,
    response: nothing,
    errors: ['invalid_request', 'not_found'],
  },
  removeMember: {
    method: 'DELETE',
    path: '/v1/groups/:name/members/:person',
    summary: 'Take a person out of a group',
    access: ['admin'],
    ...member,
    status: 204,
    response: nothing,
    errors: ['invalid_request', 'not_found'],
  },
} as const;
