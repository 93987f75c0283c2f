import { type DatabasePlace, type Migrations, openDatabase } from '@morpheo/service/database';
import type { Log } from '@morpheo/service/log';
import type { ColumnDefinitionBuilder } from 'kysely';
import { createNetworks } from '../classification/tables.ts';
import type { DiceboxDatabase, Schema } from './schema.ts';

/** The file of the embedded database in the data folder, and the owner of the tables on PostgreSQL. */
export const DATABASE = { file: 'dicebox.db', owner: 'dicebox' } as const;

const filled = (column: ColumnDefinitionBuilder) => column.notNull();
const zero = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0);

/** The schema's history. A step that was released never changes; what comes next is a step of its own. */
export const migrations: Migrations = {
  '001-pictures': async ({ schema }) => {
    await schema
      .createTable('picture_sets')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text', filled)
      .addColumn('name', 'text', filled)
      .addColumn('width', 'integer', filled)
      .addColumn('height', 'integer', filled)
      .addColumn('channels', 'integer', filled)
      .addColumn('pictures', 'integer', zero)
      .addColumn('packed', 'integer', zero)
      .addColumn('loose_bytes', 'bigint', zero)
      .addColumn('created_at', 'bigint', filled)
      .addUniqueConstraint('picture_sets_key', ['owner', 'name', 'width', 'height'])
      .execute();
    await schema
      .createTable('picture_categories')
      .addColumn('set_id', 'text', (column) => column.notNull().references('picture_sets.id'))
      .addColumn('name', 'text', filled)
      .addColumn('first', 'integer', filled)
      .addColumn('pictures', 'integer', filled)
      .addPrimaryKeyConstraint('picture_categories_key', ['set_id', 'name'])
      .execute();
    await schema
      .createTable('pictures')
      .addColumn('set_id', 'text', (column) => column.notNull().references('picture_sets.id'))
      .addColumn('number', 'integer', filled)
      .addColumn('category', 'text', filled)
      .addColumn('name', 'text')
      .addColumn('digest', 'text', filled)
      .addColumn('format', 'text', filled)
      .addColumn('size', 'integer', filled)
      .addColumn('bytes', 'text')
      .addColumn('pixels', 'text')
      .addPrimaryKeyConstraint('pictures_key', ['set_id', 'number'])
      .execute();
    await schema
      .createIndex('pictures_name')
      .unique()
      .on('pictures')
      .columns(['set_id', 'name'])
      .where('name', 'is not', null)
      .execute();
    await schema
      .createTable('picture_shards')
      .addColumn('resource', 'text', (column) => column.primaryKey())
      .addColumn('set_id', 'text', (column) => column.notNull().references('picture_sets.id'))
      .addColumn('first', 'integer', filled)
      .addColumn('pictures', 'integer', filled)
      .addColumn('full', 'integer', filled)
      .addColumn('stored', 'integer', zero)
      .addColumn('pixels_at', 'bigint', zero)
      .addColumn('replaced_at', 'bigint')
      .addUniqueConstraint('picture_shards_key', ['set_id', 'first', 'pictures'])
      .execute();
  },

  '002-batches': async ({ schema }) => {
    await schema
      .createTable('batches')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text', filled)
      .addColumn('set_id', 'text', (column) => column.notNull().references('picture_sets.id'))
      .addColumn('seed', 'bigint', filled)
      .addColumn('pictures', 'integer', filled)
      .addColumn('size', 'integer', filled)
      .addColumn('noise', 'double precision', filled)
      .addColumn('next', 'integer', zero)
      .addColumn('created_at', 'bigint', filled)
      .addColumn('used_at', 'bigint', filled)
      .execute();
    await schema.createIndex('batches_used').on('batches').column('used_at').execute();
    await schema
      .createTable('open_samples')
      .addColumn('batch_id', 'text', (column) =>
        column.notNull().references('batches.id').onDelete('cascade'),
      )
      .addColumn('sample', 'integer', filled)
      .addColumn('boot', 'text', filled)
      .addColumn('given_at', 'bigint', filled)
      .addPrimaryKeyConstraint('open_samples_key', ['batch_id', 'sample'])
      .execute();
  },

  '003-networks': createNetworks,
};

/** Opens the database of dicebox, and brings its tables up to date. */
export async function openTables(place: DatabasePlace, log: Log): Promise<DiceboxDatabase> {
  return await openDatabase<Schema>(place, { owner: DATABASE.owner, migrations, log });
}
