export type { Heard, Origin } from './channels.ts';
export { checkDatabase } from './check.ts';
export type { Database, Migrations, OpenDatabase } from './database.ts';
export type { DatabasePlace } from './open.ts';
export { openDatabase } from './open.ts';
export type { DatabaseConfig } from './settings.ts';
export { databaseContradictions, databaseSettings, engineOf, readDatabasePlace } from './settings.ts';
export type { OpenSqlite } from './sqlite/index.ts';
export { openSqlite } from './sqlite/index.ts';
