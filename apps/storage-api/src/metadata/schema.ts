import type { Purpose, ResourceType, ResultType, Visibility } from '@morpheo/common';
import type { Database, Migrations } from '@morpheo/service/database';
import { type Generated, type Kysely, type Selectable, sql } from 'kysely';
import { addCheckpoints, type CheckpointSchema } from '../checkpoints/tables.ts';
import { addOutputs, type OutputSchema } from '../outputs/tables.ts';
import { createPeopleTables, type PeopleSchema } from '../people/schema.ts';
import {
  addCanaries,
  addDisclosure,
  addExpiringPins,
  addSamples,
  createPinTables,
  indexPinnedThings,
  type PinSchema,
} from '../pins/tables.ts';

/** A blob that is there for readers: without a row its file is none. */
interface BlobRow {
  sha256: string;
  size: number;
  /** Milliseconds since 1970. */
  stored_at: number;
  /** Since when its bytes are known to be others than its name says, in milliseconds since 1970; null: they are good. */
  damaged_at: Generated<number | null>;
}

/** A thing that storage keeps. */
interface ResourceTable {
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
  /** Who uploaded it, by name; empty where nobody knows: then it is the admins'. */
  owner: string;
  visibility: Visibility;
  /** data: for what it may be used; `open` for all other types. */
  purpose: Purpose;
  /** data: the ids of the problems that it tests, by comma; empty where it tests none. */
  problems: string;
  /** problem: JSON of its `Disclosure`; empty for the default, and for all other types. */
  disclosure: Generated<string>;
  /** problem: JSON of its `Sample`; empty where it has none. */
  sample: Generated<string>;
  /** problem: JSON of its canaries; empty where it has none. Nobody but its owner and admins may know them. */
  canaries: Generated<string>;
  /** output: 1 where its job failed. */
  failed: Generated<number>;
}

/** See {@link ResourceTable}. */
export type ResourceRow = Selectable<ResourceTable>;

/** One to whom a resource is granted. */
interface GrantRow {
  type: ResourceType;
  uuid: string;
  /** See `grantee` of the common types. */
  grantee: string;
}

/** An id that a resource had which was deleted or renamed, or an order that ended without a result: it stays its owner's. */
interface FormerIdRow {
  type: ResourceType;
  uuid: string;
  owner: string;
}

/** What an attempt brought, and nobody sees yet. */
interface StagedTable {
  order_id: string;
  attempt: number;
  type: ResultType;
  /** The id that it will have. */
  uuid: string;
  algo: string | null;
  sha256: string;
  size: number;
  /** Milliseconds since 1970. */
  staged_at: number;
  /** Whose result it will be, by name; empty where nobody knows. */
  owner: string;
  /** Why nobody may have it, for the owner of the problem; empty where all may. */
  withheld: Generated<string>;
}

/** See {@link StagedTable}. */
export type StagedRow = Selectable<StagedTable>;

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

/** A resumable upload. Its bytes are a file of its own until the last one has come. */
export interface UploadRow {
  id: string;
  /** The name of the caller who began it, and will own the thing; empty where nobody knows. */
  creator: string;
  type: ResourceType;
  /** The id that the thing will have. */
  uuid: string;
  /** `Upload-Metadata` as it came. */
  metadata: string;
  /** In bytes, as announced. */
  size: number;
  /** So many bytes are on disk, synced. */
  received: number;
  /** When it was created, or bytes came last, in milliseconds since 1970. */
  touched_at: number;
  /** When the thing appeared, in milliseconds since 1970; null before. */
  finished_at: number | null;
}

/** The tables of storage-api. */
export interface StorageSchema extends PeopleSchema, PinSchema, OutputSchema, CheckpointSchema {
  blobs: BlobRow;
  resources: ResourceTable;
  staged: StagedTable;
  scrubs: ScrubRow;
  /** One row for each owner that is bounded: whoever holds it may add to what the owner has, or begin an upload. */
  resource_owners: { name: string };
  uploads: UploadRow;
  grants: GrantRow;
  former_ids: FormerIdRow;
}

/** A transaction of storage-api's database, or, where a function only reads, a look at what is committed. */
export type StorageTransaction = Kysely<StorageSchema>;

/** storage-api's database. */
export type StorageDatabase = Database<StorageSchema>;

/** The schema's history. A step that was released never changes; what comes next is a step of its own. */
export const storageMigrations: Migrations = {
  '001-resources': createTables,
  '002-ledger': addLedger,
  '003-uploads': createUploadsTable,
  '004-reserved': indexUploadsByCreator,
  '005-permissions': addPermissions,
  '006-people': createPeopleTables,
  '007-pins': createPinTables,
  '008-disclosure': addDisclosure,
  '009-canaries': addCanaries,
  '010-samples': addSamples,
  '011-pinned-things': indexPinnedThings,
  '012-staged-by-age': indexStagedByAge,
  '013-figures': indexForFigures,
  '014-outputs': addOutputs,
  '015-checkpoints': addCheckpoints,
  '016-shared-lists': indexForShared,
  '017-expiring-pins': addExpiringPins,
};

/** What is there already is marked as from before there were owners. */
async function addPermissions(schema: Kysely<unknown>): Promise<void> {
  for (const [column, usual] of [
    ['visibility', 'legacy'],
    ['purpose', 'open'],
    ['problems', ''],
  ] as const) {
    await schema.schema
      .alterTable('resources')
      .addColumn(column, 'text', (definition) => definition.notNull().defaultTo(usual))
      .execute();
  }
  await schema.schema
    .createTable('grants')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('grantee', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('grants_key', ['type', 'uuid', 'grantee'])
    .execute();
  await schema.schema.createIndex('grants_by_grantee').on('grants').columns(['grantee', 'type']).execute();
  await schema.schema
    .createTable('former_ids')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('owner', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('former_ids_key', ['type', 'uuid'])
    .execute();
}

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

/** The step of the schema that adds {@link UploadRow}. */
async function createUploadsTable(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createTable('uploads')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('creator', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text', (column) => column.notNull())
    .addColumn('metadata', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('received', 'bigint', (column) => column.notNull())
    .addColumn('touched_at', 'bigint', (column) => column.notNull())
    .addColumn('finished_at', 'bigint')
    .execute();
  await schema.schema.createIndex('uploads_by_touch').on('uploads').column('touched_at').execute();
}

/** The step of the schema by which it is quick to tell what the uploads of one creator have announced. */
async function indexUploadsByCreator(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createIndex('uploads_by_creator')
    .on('uploads')
    .columns(['creator', 'finished_at', 'size'])
    .execute();
}

/** The step of the schema by which it is quick to tell which results have waited for too long. */
async function indexStagedByAge(schema: Kysely<unknown>): Promise<void> {
  await schema.schema.createIndex('staged_by_age').on('staged').column('staged_at').execute();
}

/**
 * The step of the schema by which the figures of all that is stored (`/v1/usage`, `/metrics`) and pages by number are
 * read from indexes alone, in their order, without a sort. Counts that are kept would be told at once; but they are
 * wrong for ever once they are wrong, and every upload would wait for the count of its owner.
 */
async function indexForFigures(schema: Kysely<unknown>): Promise<void> {
  const instead = {
    resources_by_owner: ['resources_by_owner_and_type', ['owner', 'type', 'sha256', 'size']],
    resources_by_sha256: ['resources_by_digest', ['sha256', 'size']],
    resources_in_order: ['resources_by_page', ['type', 'seq', 'uuid']],
  } as const;
  for (const [former, [name, columns]] of Object.entries(instead)) {
    await schema.schema
      .createIndex(name)
      .on('resources')
      .columns([...columns])
      .execute();
    await schema.schema.dropIndex(former).execute();
  }
  await schema.schema
    .createIndex('blobs_damaged')
    .on('blobs')
    .column('size')
    .where(sql.ref('damaged_at'), 'is not', null)
    .execute();
}

/**
 * The step of the schema by which figures are reckoned a slice of digests at a time, and lists are read of what is
 * somebody's, or open to all: where these are few among many, too.
 */
async function indexForShared(schema: Kysely<unknown>): Promise<void> {
  await schema.schema.dropIndex('resources_by_digest').execute();
  for (const index of [
    sql`create index resources_by_digest on resources (sha256, size, owner, type)`,
    sql`create index resources_of_owner on resources (owner, type, seq, uuid)`,
    sql`create index resources_open on resources (visibility, type, seq, uuid, owner) where visibility <> 'private'`,
  ]) {
    await index.execute(schema);
  }
}
