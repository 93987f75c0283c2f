import type { Role } from '@morpheo/common';
import type { StorageTransaction } from '../metadata/schema.ts';
import { rolesOf } from './schema.ts';

/** What the roles of a caller of the credentials file are, by name; undefined where the file names nobody so. */
export type FileRoles = (name: string) => readonly Role[] | undefined;

/** What the rights of a person follow from, beside what is owned and granted. */
export interface PeopleRights {
  /** The groups that a person is in, by name. */
  groupsOf(transaction: StorageTransaction, person: string): Promise<string[]>;
  /** Whether a name is that of an admin: of the credentials file, or of the people. */
  isAdmin(transaction: StorageTransaction, name: string): Promise<boolean>;
}

/** Makes the {@link PeopleRights}. Who is in the credentials file is nobody else. */
export function createPeopleRights(ofFile: FileRoles): PeopleRights {
  return {
    groupsOf,
    isAdmin: async (transaction, name) => {
      const known = ofFile(name) ?? (await rolesOfPerson(transaction, name));
      return known.includes('admin');
    },
  };
}

/** The groups that a person is in, by name; none for one who was removed. */
export async function groupsOf(transaction: StorageTransaction, person: string): Promise<string[]> {
  const rows = await transaction
    .selectFrom('people_members as m')
    .innerJoin('people as p', 'p.name', 'm.person')
    .select('m.group_name')
    .where('m.person', '=', person)
    .where('p.removed_at', 'is', null)
    .orderBy('m.group_name')
    .execute();
  return rows.map((row) => row.group_name);
}

async function rolesOfPerson(transaction: StorageTransaction, name: string): Promise<readonly Role[]> {
  const row = await transaction
    .selectFrom('people')
    .select('roles')
    .where('name', '=', name)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  return row === undefined ? [] : rolesOf(row);
}
