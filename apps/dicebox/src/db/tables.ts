import { type Database, type DatabasePlace, type Migrations, openDatabase } from '@morpheo/service/database';
import type { Log } from '@morpheo/service/log';

/** The file of the embedded database in the data folder, and the owner of the tables on PostgreSQL. */
export const DATABASE = { file: 'dicebox.db', owner: 'dicebox' } as const;

/** The tables of dicebox: a type by the name of each. */
// biome-ignore lint/complexity/noBannedTypes: no table is there yet
export type Schema = {};

/** The schema's history. A step that was released never changes; what comes next is a step of its own. */
export const migrations: Migrations = {};

/** Opens the database of dicebox, and brings its tables up to date. */
export async function openTables(place: DatabasePlace, log: Log): Promise<Database<Schema>> {
  return await openDatabase<Schema>(place, { owner: DATABASE.owner, migrations, log });
}
