import type { ResourceType, ResultType } from '@morpheo/common';
import { type Generated, type Kysely, type Selectable, sql } from 'kysely';
import type { PinAttempt } from '../checkpoints/tables.ts';

/** What is pinned for an order. It stays for a while when that was released, so that a late call pins nothing. */
interface PinTable extends PinAttempt {
  order_id: string;
  /** See `PinRequest`. */
  round: number;
  /** SHA-256 of the list of what is pinned; null before that is decided, and where a release came first. */
  pin: Generated<string | null>;
  /** Whose the order is, and so whose its result will be. */
  owner: Generated<string>;
  /** learn: the algo that its model will be of; nobody deletes it meanwhile. */
  algo: Generated<string | null>;
  produces_type: Generated<ResultType | null>;
  produces_uuid: Generated<string | null>;
  problem_owner: Generated<string>;
  /** 1 where it names data that its owner may not read. */
  hidden: Generated<number>;
  /** JSON; see `PinAnswer`. */
  readers: Generated<string>;
  /** JSON of a `Disclosure`; empty for the default. */
  disclosure: Generated<string>;
  /** JSON of the canaries of its problem; empty where there are none. */
  canaries: Generated<string>;
  /** JSON of the `Sample` of its problem; empty where there is none. */
  sample: Generated<string>;
  /** Milliseconds since 1970; null before it was released. */
  released_at: Generated<number | null>;
  /** When it is released by itself, in milliseconds since 1970; null where somebody says so. */
  expires_at: Generated<number | null>;
}

/** See {@link PinTable}. */
export type PinRow = Selectable<PinTable>;

/**
 * A list of things as they were when they were pinned, by the SHA-256 of it: orders of one problem name the same data,
 * so that thousands of rows are kept once. It is there while an order has it.
 */
export interface PinSetRow {
  id: string;
  /** How many things it has; 0 until they are written. */
  things: number;
}

/** A thing of a set, as it was then. */
export interface PinnedRow {
  set_id: string;
  type: ResourceType;
  uuid: string;
  sha256: string;
  size: number;
  algo: string | null;
  uploaded_at: number;
}

/** The tables of pins. */
export interface PinSchema {
  pins: PinTable;
  pin_sets: PinSetRow;
  pin_members: { order_id: string; set_id: string };
  pinned: PinnedRow;
  /** The ids that are kept free: for the result of an order, or, within a transaction, for who stores under it. */
  reserved_ids: { type: ResourceType; uuid: string; order_id: string };
}

/** The step of the schema that adds who sees what the orders of a problem print. */
export async function addDisclosure(schema: Kysely<unknown>): Promise<void> {
  for (const [table, column, usual] of [
    ['resources', 'disclosure', ''],
    ['pins', 'disclosure', ''],
    ['pins', 'readers', '[]'],
  ] as const)
    await schema.schema
      .alterTable(table)
      .addColumn(column, 'text', (definition) => definition.notNull().defaultTo(usual))
      .execute();
}

/** The step of the schema that adds the canaries of problems, and what is withheld for them. */
export async function addCanaries(schema: Kysely<unknown>): Promise<void> {
  for (const [table, column] of [
    ['resources', 'canaries'],
    ['pins', 'canaries'],
    ['staged', 'withheld'],
  ] as const)
    await schema.schema
      .alterTable(table)
      .addColumn(column, 'text', (definition) => definition.notNull().defaultTo(''))
      .execute();
}

/** The step of the schema that adds the public samples of problems. */
export async function addSamples(schema: Kysely<unknown>): Promise<void> {
  for (const table of ['resources', 'pins'])
    await schema.schema
      .alterTable(table)
      .addColumn('sample', 'text', (definition) => definition.notNull().defaultTo(''))
      .execute();
}

/** The step of the schema that adds pins which are released by themselves. */
export async function addExpiringPins(schema: Kysely<unknown>): Promise<void> {
  await schema.schema.alterTable('pins').addColumn('expires_at', 'bigint').execute();
  await sql`create index pins_by_expiry on pins (expires_at) where expires_at is not null and released_at is null`.execute(
    schema,
  );
}

/** The step of the schema by which it is quick to tell whether a thing is pinned. */
export async function indexPinnedThings(schema: Kysely<unknown>): Promise<void> {
  await schema.schema.createIndex('pinned_by_uuid').on('pinned').column('uuid').execute();
}

/** The step of the schema that adds {@link PinSchema}. */
export async function createPinTables(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createTable('pins')
    .addColumn('order_id', 'text', (column) => column.primaryKey())
    .addColumn('round', 'bigint', (column) => column.notNull())
    .addColumn('pin', 'text')
    .addColumn('owner', 'text', (column) => column.notNull().defaultTo(''))
    .addColumn('algo', 'text')
    .addColumn('produces_type', 'text')
    .addColumn('produces_uuid', 'text')
    .addColumn('problem_owner', 'text', (column) => column.notNull().defaultTo(''))
    .addColumn('hidden', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('released_at', 'bigint')
    .execute();
  await schema.schema
    .createTable('pin_sets')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('things', 'integer', (column) => column.notNull())
    .execute();
  await schema.schema
    .createTable('pin_members')
    .addColumn('order_id', 'text', (column) => column.notNull())
    .addColumn('set_id', 'text', (column) => column.notNull().references('pin_sets.id'))
    .addPrimaryKeyConstraint('pin_members_key', ['order_id', 'set_id'])
    .execute();
  await schema.schema
    .createTable('pinned')
    .addColumn('set_id', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull().references('blobs.sha256'))
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('algo', 'text')
    .addColumn('uploaded_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('pinned_key', ['set_id', 'type', 'uuid'])
    .execute();
  await schema.schema
    .createTable('reserved_ids')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('order_id', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('reserved_ids_key', ['type', 'uuid'])
    .execute();
  const indexes = {
    pins_by_release: ['pins', 'released_at'],
    pins_by_algo: ['pins', 'algo'],
    pin_members_by_set: ['pin_members', 'set_id'],
    pinned_by_sha256: ['pinned', 'sha256'],
    reserved_ids_by_order: ['reserved_ids', 'order_id'],
  } as const;
  for (const [name, [table, ...columns]] of Object.entries(indexes)) {
    await schema.schema.createIndex(name).on(table).columns(columns).execute();
  }
}
