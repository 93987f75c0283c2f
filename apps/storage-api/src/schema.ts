import type { ResourceType } from '@morpheo/common';
import type { Database, Migrations } from '@morpheo/service/database';
import type { Kysely } from 'kysely';

/** A blob that is there for readers: without a row its file is none. */
interface BlobRow {
  sha256: string;
  size: number;
  /** Milliseconds since 1970. */
  stored_at: number;
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
}

/** The tables of storage-api. */
export interface StorageSchema {
  blobs: BlobRow;
  resources: ResourceRow;
  staged: StagedRow;
}

/** storage-api's database. */
export type StorageDatabase = Database<StorageSchema>;

/** The schema's history. A step that was released never changes; what comes next is a step of its own. */
export const storageMigrations: Migrations = {
  '001-resources': createTables,
};

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
