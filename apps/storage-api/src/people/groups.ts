import { type Group, PAGE, PlatformError } from '@morpheo/common';
import type { StorageTransaction } from '../metadata/schema.ts';
import type { GroupRow } from './schema.ts';
import { holdPerson, type NamePage, timeOf } from './store.ts';

/** A page of groups. */
export async function listGroups(
  transaction: StorageTransaction,
  { limit = PAGE.usual, cursor = '' }: NamePage,
): Promise<{ items: Group[]; next?: string }> {
  const rows = await transaction
    .selectFrom('people_groups')
    .selectAll()
    .where('name', '>', cursor)
    .orderBy('name')
    .limit(limit + 1)
    .execute();
  const items = await toGroups(transaction, rows.slice(0, limit));
  const last = items.at(-1);
  return { items, ...(rows.length > limit && last !== undefined ? { next: last.name } : {}) };
}

/** A group; throws `not_found` where there is none of this name. */
export async function getGroup(transaction: StorageTransaction, name: string): Promise<Group> {
  const rows = await transaction.selectFrom('people_groups').selectAll().where('name', '=', name).execute();
  const [group] = await toGroups(transaction, rows);
  if (group === undefined) throw noGroup(name);
  return group;
}

async function toGroups(transaction: StorageTransaction, rows: readonly GroupRow[]): Promise<Group[]> {
  const names = rows.map(({ name }) => name);
  if (names.length === 0) return [];
  const members = await transaction
    .selectFrom('people_members')
    .selectAll()
    .where('group_name', 'in', names)
    .orderBy('person')
    .execute();
  return rows.map((row) => ({
    name: row.name,
    members: members.filter((one) => one.group_name === row.name).map(({ person }) => person),
    created_at: timeOf(row.created_at),
  }));
}

/** Adds a group; nothing changes where it is there. */
export async function putGroup(transaction: StorageTransaction, name: string, now: number): Promise<void> {
  await transaction
    .insertInto('people_groups')
    .values({ name, created_at: now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
}

/**
 * Removes a group, and what was granted to it: a group that has the name later is another one. Returns how many grants
 * that were; throws `not_found` where there is none of this name.
 */
export async function removeGroup(transaction: StorageTransaction, name: string): Promise<number> {
  await holdGroup(transaction, name);
  await transaction.deleteFrom('people_members').where('group_name', '=', name).execute();
  await transaction.deleteFrom('people_groups').where('name', '=', name).execute();
  const { numDeletedRows } = await transaction
    .deleteFrom('grants')
    .where('grantee', '=', `group:${name}`)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** Puts a person into a group; throws `not_found` where one of them is not there. */
export async function addMember(
  transaction: StorageTransaction,
  group: string,
  person: string,
): Promise<void> {
  await holdGroup(transaction, group);
  await holdPerson(transaction, person);
  await transaction
    .insertInto('people_members')
    .values({ group_name: group, person })
    .onConflict((conflict) => conflict.columns(['group_name', 'person']).doNothing())
    .execute();
}

/** Takes a person out of a group; throws `not_found` where it is not in it. */
export async function removeMember(
  transaction: StorageTransaction,
  group: string,
  person: string,
): Promise<void> {
  await holdGroup(transaction, group);
  const { numDeletedRows } = await transaction
    .deleteFrom('people_members')
    .where('group_name', '=', group)
    .where('person', '=', person)
    .executeTakeFirstOrThrow();
  if (numDeletedRows === 0n) throw new PlatformError('not_found', `${person} is not in the group ${group}.`);
}

/** Holds a group against everybody else until the transaction ends; throws `not_found` where there is none. */
async function holdGroup(transaction: StorageTransaction, name: string): Promise<void> {
  const held = await transaction
    .updateTable('people_groups')
    .set((row) => ({ name: row.ref('name') }))
    .where('name', '=', name)
    .returning('name')
    .executeTakeFirst();
  if (held === undefined) throw noGroup(name);
}

function noGroup(name: string): PlatformError {
  return new PlatformError('not_found', `There is no group of the name ${name}.`);
}
