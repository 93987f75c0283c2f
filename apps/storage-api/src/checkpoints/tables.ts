import type { Generated, Kysely } from 'kysely';

/** The latest checkpoint of an order that has not ended. */
interface CheckpointRow {
  order_id: string;
  attempt: number;
  /** See `PinAnswer`: of an order that was begun again it is none. */
  pin: string;
  sha256: string;
  size: number;
  /** Whose order it is, by name; empty where nobody knows. */
  owner: string;
  /** Milliseconds since 1970. */
  stored_at: number;
}

/** What {@link addCheckpoints} adds to the row of an order that is pinned. */
export interface PinAttempt {
  /** The latest attempt that has asked for a checkpoint, or brought one: those before it bring none any more. */
  last_attempt: Generated<number>;
}

/** The tables of checkpoints. */
export interface CheckpointSchema {
  checkpoints: CheckpointRow;
}

/** The step of the schema that adds {@link CheckpointSchema}. */
export async function addCheckpoints(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createTable('checkpoints')
    .addColumn('order_id', 'text', (column) => column.primaryKey())
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('pin', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull().references('blobs.sha256'))
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('owner', 'text', (column) => column.notNull())
    .addColumn('stored_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema.schema
    .createIndex('checkpoints_by_sha256')
    .on('checkpoints')
    .columns(['sha256', 'size'])
    .execute();
  await schema.schema
    .createIndex('checkpoints_by_owner')
    .on('checkpoints')
    .columns(['owner', 'size'])
    .execute();
  await schema.schema
    .alterTable('pins')
    .addColumn('last_attempt', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
}
