import type { Database, OpenDatabase } from './database.ts';
import type { OpenPostgres } from './postgres/index.ts';
import { openSqlite } from './sqlite/index.ts';

/** Which database a service keeps its rows in. */
export type DatabasePlace =
  | { readonly engine: 'sqlite'; readonly file: string }
  | ({ readonly engine: 'postgres' } & Omit<OpenPostgres, keyof OpenDatabase>);

/**
 * Opens a database of either engine. `owner` names the service on PostgreSQL, where others may share the database; a
 * file is one service's alone, and its schema belongs to `schema`.
 */
export async function openDatabase<Schema>(
  place: DatabasePlace,
  { owner, ...options }: OpenDatabase & { readonly owner: string },
): Promise<Database<Schema>> {
  if (place.engine === 'sqlite') return await openSqlite({ file: place.file, ...options });
  // Loaded where it is needed alone: it takes longer to load than a file to open.
  const { openPostgres } = await import('./postgres/index.ts');
  return await openPostgres({ ...place, owner, ...options });
}
