import { randomBytes } from 'node:crypto';
import { MOST_TOKENS, PAGE, type Person, type PersonToken, PlatformError, type Role } from '@morpheo/common';
import { hashSecret } from '@morpheo/service/http';
import { sql } from 'kysely';
import type { StorageTransaction } from '../metadata/schema.ts';
import { type PersonRow, rolesOf, type TokenRow } from './schema.ts';

/** A page of a list by name: `cursor` is the name that the page before ended with. */
export interface NamePage {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** A page of people. */
export async function listPeople(
  transaction: StorageTransaction,
  { limit = PAGE.usual, cursor = '' }: NamePage,
): Promise<{ items: Person[]; next?: string }> {
  const rows = await transaction
    .selectFrom('people')
    .selectAll()
    .where('removed_at', 'is', null)
    .where('name', '>', cursor)
    .orderBy('name')
    .limit(limit + 1)
    .execute();
  const items = await toPeople(transaction, rows.slice(0, limit));
  const last = items.at(-1);
  return { items, ...(rows.length > limit && last !== undefined ? { next: last.name } : {}) };
}

/** A person; throws `not_found` where there is none of this name. */
export async function getPerson(transaction: StorageTransaction, name: string): Promise<Person> {
  const [person] = await toPeople(transaction, await rowOf(transaction, name));
  if (person === undefined) throw nobody(name);
  return person;
}

async function rowOf(transaction: StorageTransaction, name: string): Promise<PersonRow[]> {
  return await transaction
    .selectFrom('people')
    .selectAll()
    .where('name', '=', name)
    .where('removed_at', 'is', null)
    .execute();
}

async function toPeople(transaction: StorageTransaction, rows: readonly PersonRow[]): Promise<Person[]> {
  const names = rows.map(({ name }) => name);
  if (names.length === 0) return [];
  const memberships = await transaction
    .selectFrom('people_members')
    .selectAll()
    .where('person', 'in', names)
    .orderBy('group_name')
    .execute();
  const tokens = await transaction
    .selectFrom('people_tokens')
    .select(['person', ({ fn }) => fn.countAll<number | string>().as('n')])
    .where('person', 'in', names)
    .groupBy('person')
    .execute();
  const counts = new Map(tokens.map(({ person, n }) => [person, Number(n)]));
  return rows.map((row) => ({
    name: row.name,
    roles: rolesOf(row),
    groups: memberships.filter(({ person }) => person === row.name).map((one) => one.group_name),
    tokens: counts.get(row.name) ?? 0,
    created_at: timeOf(row.created_at),
  }));
}

/** Adds a person, or sets the roles of one. Throws `conflict` for a name that was somebody's, without `restore`. */
export async function putPerson(
  transaction: StorageTransaction,
  name: string,
  { roles, restore = false, now }: { roles: readonly Role[]; restore?: boolean | undefined; now: number },
): Promise<void> {
  const text = JSON.stringify([...new Set(roles)]);
  const row = await transaction
    .insertInto('people')
    .values({ name, roles: text, created_at: now, removed_at: null })
    // Not `do nothing`, which would not hold the row that is there.
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet((old) => ({ name: old.ref('people.name') })),
    )
    .returning('removed_at')
    .executeTakeFirstOrThrow();
  if (row.removed_at !== null && !restore) {
    throw new PlatformError(
      'conflict',
      `${name} was removed on ${timeOf(row.removed_at).slice(0, 10)}: whoever gets the name gets what that person ` +
        'owned, and what was granted. Choose another name, or say that the same person is back (restore).',
    );
  }
  await transaction
    .updateTable('people')
    .set({ roles: text, removed_at: null })
    .where('name', '=', name)
    .execute();
}

/** Removes a person with tokens and memberships; the name stays taken. Returns what it owns. */
export async function removePerson(
  transaction: StorageTransaction,
  name: string,
  now: number,
): Promise<{ things: number; bytes: number }> {
  await holdPerson(transaction, name);
  await transaction.updateTable('people').set({ removed_at: now }).where('name', '=', name).execute();
  await transaction.deleteFrom('people_tokens').where('person', '=', name).execute();
  await transaction.deleteFrom('people_members').where('person', '=', name).execute();
  const owned = await transaction
    .selectFrom('resources')
    .select([sql<number | string>`count(*)`.as('n'), sql<number | string | null>`sum(size)`.as('bytes')])
    .where('owner', '=', name)
    .executeTakeFirstOrThrow();
  return { things: Number(owned.n), bytes: Number(owned.bytes ?? 0) };
}

/** Holds a person against everybody else until the transaction ends; throws `not_found` where there is none. */
export async function holdPerson(transaction: StorageTransaction, name: string): Promise<void> {
  const held = await transaction
    .updateTable('people')
    .set((row) => ({ name: row.ref('name') }))
    .where('name', '=', name)
    .where('removed_at', 'is', null)
    .returning('name')
    .executeTakeFirst();
  if (held === undefined) throw nobody(name);
}

/** The tokens of a person, the newest first; throws `not_found` where there is no such person. */
export async function listTokens(transaction: StorageTransaction, person: string): Promise<PersonToken[]> {
  await getPerson(transaction, person);
  const rows = await transaction
    .selectFrom('people_tokens')
    .selectAll()
    .where('person', '=', person)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
  return rows.map(toToken);
}

/** A token that was drawn: the row that is kept, and the secret that is not. */
export interface DrawnToken {
  readonly row: TokenRow;
  /** What the person sends as password: the id, a dot, and 256 random bits. */
  readonly secret: string;
}

/** Draws a token for a person. */
export async function drawToken(person: string, label: string, now: number): Promise<DrawnToken> {
  const id = randomBytes(6).toString('hex');
  const secret = `${id}.${randomBytes(32).toString('base64url')}`;
  const secretHash = await hashSecret(secret, { isRandom: true });
  return { secret, row: { id, person, label, secret_hash: secretHash, created_at: now } };
}

/** Keeps a token; throws `not_found` where there is no such person, `wrong_state` where it has too many. */
export async function keepToken(transaction: StorageTransaction, row: TokenRow): Promise<PersonToken> {
  await holdPerson(transaction, row.person);
  const { tokens } = await getPerson(transaction, row.person);
  if (tokens >= MOST_TOKENS) {
    throw new PlatformError(
      'wrong_state',
      `${row.person} has ${tokens} tokens, which is the most. Revoke those that nobody uses first.`,
    );
  }
  await transaction.insertInto('people_tokens').values(row).execute();
  return toToken(row);
}

/** Removes a token; throws `not_found` where the person has no such one. */
export async function revokeToken(
  transaction: StorageTransaction,
  person: string,
  id: string,
): Promise<void> {
  const { numDeletedRows } = await transaction
    .deleteFrom('people_tokens')
    .where('person', '=', person)
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  if (numDeletedRows === 0n)
    throw new PlatformError('not_found', `${person} has no token with the id ${id}.`);
}

function toToken({ id, label, created_at: createdAt }: TokenRow): PersonToken {
  return { id, label, created_at: timeOf(createdAt) };
}

function nobody(name: string): PlatformError {
  return new PlatformError(
    'not_found',
    `There is no person of the name ${name}. Callers of credentials files are none: who runs the service keeps those.`,
  );
}

/** Milliseconds since 1970 as people read them. */
export function timeOf(ms: number): string {
  return new Date(Number(ms)).toISOString();
}
