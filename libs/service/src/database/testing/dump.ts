import { sql } from 'kysely';
import type { Database } from '../index.ts';

/** The rows of every table but those of the schema's history: each as JSON, sorted, by the name of its table. */
export type Dump = Readonly<Record<string, readonly string[]>>;

/**
 * Reads all that is in a database, so that two moments can be compared. `without` names columns, as `table.column`,
 * that change by themselves.
 */
export async function dumpTables<Schema>(
  { engine, read }: Pick<Database<Schema>, 'engine' | 'read'>,
  without: readonly string[] = [],
): Promise<Dump> {
  const names = await sql<{ name: string }>`${sql.raw(TABLES[engine])}`.execute(read);
  const dump: Record<string, readonly string[]> = {};
  for (const { name } of names.rows) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(read);
    const kept = rows.map((row) =>
      Object.fromEntries(Object.entries(row).filter(([column]) => !without.includes(`${name}.${column}`))),
    );
    dump[name] = kept.map((row) => JSON.stringify(row)).sort();
  }
  return dump;
}

const TABLES = {
  sqlite: `select name from sqlite_schema where type = 'table' and name not like 'sqlite%' and name not like '%migration%' order by name`,
  postgres: `select tablename as name from pg_tables where schemaname = 'public' and tablename !~ '_migration' order by 1`,
} as const;
