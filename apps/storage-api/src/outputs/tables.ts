import type { Kysely } from 'kysely';

/**
 * A part of the list of an output's files, in the order of their paths: outputs have up to 100,000 files, and rows of
 * their own would keep all others from writing while they are added. It goes with its blob.
 */
interface OutputPageRow {
  /** The blob, a tar archive, in which the files lie. */
  sha256: string;
  page: number;
  /** The path of its first file. */
  first: string;
  /** JSON of `[path, offset, size, sha256]` of each file. */
  files: string;
}

/** The tables of outputs. */
export interface OutputSchema {
  output_pages: OutputPageRow;
}

/** The step of the schema that adds {@link OutputSchema}, and which outputs are those of jobs that failed. */
export async function addOutputs(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createTable('output_pages')
    .addColumn('sha256', 'text', (column) => column.notNull().references('blobs.sha256').onDelete('cascade'))
    .addColumn('page', 'integer', (column) => column.notNull())
    .addColumn('first', 'text', (column) => column.notNull())
    .addColumn('files', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('output_pages_key', ['sha256', 'page'])
    .execute();
  await schema.schema
    .alterTable('resources')
    .addColumn('failed', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
}
