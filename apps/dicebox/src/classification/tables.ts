import type { NetworkState } from '@morpheo/common';
import { type Generated, type Kysely, type Selectable, sql } from 'kysely';

/** A network that trainings have left, or why one has left none. */
interface NetworkTable {
  training: string;
  /** Of which pictures it was trained: what the label `dicebox.set` of the training says. */
  set_name: string;
  /** The resource on storage; empty where there is none. */
  output: string;
  /** The algorithm that has trained it, and answers for it. */
  algo: string;
  /** JSON of the labels of workers that it needs. */
  labels: string;
  /** Empty where there is no network. */
  digest: string;
  accuracy: number;
  /** A JSON list of names. */
  categories: string;
  width: number;
  height: number;
  channels: number;
  state: NetworkState;
  /** Why it is as it is; empty where there is nothing to say. */
  reason: Generated<string>;
  /** 1: somebody has asked for it. */
  wanted: Generated<number>;
  /** 1: who asked for it wants it with other categories. */
  other_categories: Generated<number>;
  /** Grows from one that was found to the next. */
  seq: number;
}

/** See {@link NetworkTable}. */
export type NetworkRow = Selectable<NetworkTable>;

/** The tables of classification. */
export interface ClassificationSchema {
  networks: NetworkTable;
}

/** The step of the schema that makes {@link ClassificationSchema}. */
export async function createNetworks(schema: Kysely<unknown>): Promise<void> {
  await schema.schema
    .createTable('networks')
    .addColumn('training', 'text', (column) => column.primaryKey())
    .addColumn('set_name', 'text', (column) => column.notNull())
    .addColumn('output', 'text', (column) => column.notNull())
    .addColumn('algo', 'text', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('accuracy', 'double precision', (column) => column.notNull())
    .addColumn('categories', 'text', (column) => column.notNull())
    .addColumn('width', 'integer', (column) => column.notNull())
    .addColumn('height', 'integer', (column) => column.notNull())
    .addColumn('channels', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull().defaultTo(''))
    .addColumn('wanted', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('other_categories', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('seq', 'integer', (column) => column.notNull())
    .execute();
  await schema.schema.createIndex('networks_by_set').on('networks').columns(['set_name', 'seq']).execute();
  // Whoever else adopts another one at the same time is refused by this.
  await sql`create unique index networks_current on networks (set_name) where state = 'current'`.execute(
    schema,
  );
}
