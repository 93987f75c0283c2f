import type { ResourceType } from '@morpheo/common';
import type { Kysely } from 'kysely';

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

/** The step of the schema that adds {@link UploadRow}. */
export async function createUploadsTable(schema: Kysely<unknown>): Promise<void> {
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
export async function indexUploadsByCreator(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createIndex('uploads_by_creator')
    .on('uploads')
    .columns(['creator', 'finished_at', 'size'])
    .execute();
}
