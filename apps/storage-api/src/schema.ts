import type { ResourceType } from '@morpheo/common';
import type { Database, Migrations } from '@morpheo/service/database';
import type { Generated, Kysely } from 'kysely';
import { createUploadsTable, indexUploadsByCreator, type UploadRow } from './resumable/upload-table.ts';

/** A blob that is there for readers: without a row its file is none. */
interface BlobRow {
  sha256: string;
  size: number;
  /** Milliseconds since 1970. */
  stored_at: number;
  /** Since when its bytes are known to be others than its name says, in milliseconds since 1970; null: they are good. */
  damaged_at: Generated<number | null>;
}

/** A problem, algo, model, data set or prediction. */
export interface ResourceRow {
  type: ResourceType;
  uuid: string;
  name: string | null;
  description: string | null;
  /** model: the algo that made it. */
  algo: string | null;
  sha256: string;
  size: number;
  /** Milliseconds since 1970. */
  uploaded_at: number;
  /** Grows with every upload and change within a type: the order of lists. */
  seq: number;
  /** The order and attempt whose staged result was published as this. */
  order_id: string | null;
  attempt: number | null;
  /** Who uploaded it, by name; empty where nobody knows. */
  owner: string;
}

/** What an attempt brought, and nobody sees yet. */
export interface StagedRow {
  order_id: string;
  attempt: number;
  type: 'model' | 'prediction';
  /** The id that it will have. */
  uuid: string;
  algo: string | null;
  sha256: string;
  size: number;
  /** Milliseconds since 1970. */
  staged_at: number;
  /** Whose result it will be, by name; empty where nobody knows. */
  owner: string;
}

/** How far the reading of all blobs has come; there is one row. */
export interface ScrubRow {
  name: 'blobs';
  /** The digest that was read last; empty between two rounds. */
  position: string;
  /** When the last round ended, in milliseconds since 1970; at first, when it was waited for. */
  finished_at: number;
  /** Until when a process has it for itself, and which. */
  held_until: number;
  holder: string;
}

/** The tables of storage-api. */
export interface StorageSchema {
  blobs: BlobRow;
  resources: ResourceRow;
  staged: StagedRow;
  scrubs: ScrubRow;
  /** One row for each owner with a quota: whoever holds it may add to what the owner has. */
  resource_owners: { name: string };
  uploads: UploadRow;
}

/** storage-api's database. */
export type StorageDatabase = Database<StorageSchema>;

/** The schema's history. A step that was released never changes; what comes next is a step of its own. */
export const storageMigrations: Migrations = {
  '001-resources': createTables,
  '002-ledger': addLedger,
  '003-uploads': createUploadsTable,
  '004-reserved': indexUploadsByCreator,
};

async function addLedger(schema: Kysely<unknown>): Promise<void> {
  await schema.schema.alterTable('blobs').addColumn('damaged_at', 'bigint').execute();
  for (const table of ['resources', 'staged'] as const) {
    await schema.schema
      .alterTable(table)
      .addColumn('owner', 'text', (column) => column.notNull().defaultTo(''))
      .execute();
    await schema.schema.createIndex(`${table}_by_owner`).on(table).columns(['owner', 'size']).execute();
  }
  await schema.schema
    .createTable('resource_owners')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .execute();
  await schema.schema
    .createTable('scrubs')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('position', 'text', (column) => column.notNull())
    .addColumn('finished_at', 'bigint', (column) => column.notNull())
    .addColumn('held_until', 'bigint', (column) => column.notNull())
    .addColumn('holder', 'text', (column) => column.notNull())
    .execute();
}

async function createTables(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createTable('blobs')
    .addColumn('sha256', 'text', (column) => column.primaryKey())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('stored_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema.schema
    .createTable('resources')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('name', 'text')
    .addColumn('description', 'text')
    .addColumn('algo', 'text')
    .addColumn('sha256', 'text', (column) => column.notNull().references('blobs.sha256'))
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('uploaded_at', 'bigint', (column) => column.notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('order_id', 'text')
    .addColumn('attempt', 'integer')
    .addPrimaryKeyConstraint('resources_key', ['type', 'uuid'])
    .execute();
  await schema.schema
    .createTable('staged')
    .addColumn('order_id', 'text', (column) => column.notNull())
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('algo', 'text')
    .addColumn('sha256', 'text', (column) => column.notNull().references('blobs.sha256'))
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('staged_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('staged_key', ['order_id', 'attempt'])
    .execute();
  await createIndexes(schema);
}

async function createIndexes(schema: Kysely<unknown>): Promise<void> {
  const indexes = {
    resources_in_order: ['resources', 'type', 'seq'],
    resources_by_algo: ['resources', 'algo', 'seq'],
    resources_by_sha256: ['resources', 'sha256'],
    resources_by_order: ['resources', 'order_id'],
    staged_by_algo: ['staged', 'algo'],
    staged_by_sha256: ['staged', 'sha256'],
  } as const;
  for (const [name, [table, ...columns]] of Object.entries(indexes)) {
    await schema.schema.createIndex(name).on(table).columns(columns).execute();
  }
}
