import type { CredentialRole } from '@morpheo/common';
import type { Kysely } from 'kysely';

/** A person who may call the platform. */
export interface PersonRow {
  name: string;
  /** JSON: a list of {@link CredentialRole}s. */
  roles: string;
  /** Milliseconds since 1970. */
  created_at: number;
  /** Since when nobody may call by this name, in milliseconds since 1970; null: the person is there. */
  removed_at: number | null;
}

/** A token of a person: what it takes to check one. */
export interface TokenRow {
  /** The part of the token that is no secret. */
  id: string;
  person: string;
  /** What its owner calls it. */
  label: string;
  /** See `hashSecret`. */
  secret_hash: string;
  /** Milliseconds since 1970. */
  created_at: number;
}

/** A group: things may be shared with all of its members at once. */
export interface GroupRow {
  name: string;
  /** Milliseconds since 1970. */
  created_at: number;
}

/** The tables of people. */
export interface PeopleSchema {
  people: PersonRow;
  people_tokens: TokenRow;
  people_groups: GroupRow;
  people_members: { group_name: string; person: string };
}

/** The step of the schema that adds the tables of {@link PeopleSchema}. */
export async function createPeopleTables({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('people')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('roles', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('removed_at', 'bigint')
    .execute();
  await schema
    .createTable('people_tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('person', 'text', (column) => column.notNull().references('people.name'))
    .addColumn('label', 'text', (column) => column.notNull())
    .addColumn('secret_hash', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema.createIndex('people_tokens_by_person').on('people_tokens').column('person').execute();
  await schema
    .createTable('people_groups')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema
    .createTable('people_members')
    .addColumn('group_name', 'text', (column) => column.notNull().references('people_groups.name'))
    .addColumn('person', 'text', (column) => column.notNull().references('people.name'))
    .addPrimaryKeyConstraint('people_members_key', ['group_name', 'person'])
    .execute();
  await schema.createIndex('people_members_by_person').on('people_members').column('person').execute();
}

/** The roles of a row. */
export function rolesOf({ roles }: Pick<PersonRow, 'roles'>): CredentialRole[] {
  return JSON.parse(roles) as CredentialRole[];
}
