import { DatabaseSync } from 'node:sqlite';
import type { PostgresServer } from '@morpheo/real-parts';
import type { DatabasePlace } from '@morpheo/service/database';

/** A database that a benchmark fills by SQL which both engines understand, past the service that owns it. */
export interface SeededDatabase {
  readonly place: DatabasePlace;
  run(sql: string): Promise<void>;
  rows(sql: string): Promise<Record<string, unknown>[]>;
  /** Ends the filling: the service may open it. */
  close(): Promise<void>;
}

/** How many rows one statement makes. */
const AT_ONCE = 100_000;

/** For a file that the service has made, and nobody has open. Nothing is synced until it is closed. */
export function seededFile(file: string): SeededDatabase {
  const database = new DatabaseSync(file);
  for (const pragma of [
    'journal_mode = off',
    'synchronous = off',
    'foreign_keys = off',
    'cache_size = -400000',
  ])
    database.exec(`pragma ${pragma}`);
  return {
    place: { engine: 'sqlite', file },
    run: async (sql) => database.exec(sql),
    rows: async (sql) =>
      database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row })),
    close: async () => database.close(),
  };
}

/** For a database of a server, which the service has opened once. */
export function seededOnPostgres(
  postgres: Pick<PostgresServer, 'query'>,
  place: Extract<DatabasePlace, { engine: 'postgres' }>,
): SeededDatabase {
  const { database } = place.address;
  const rows = async (sql: string) => await postgres.query(sql, database);
  return {
    place,
    rows,
    run: async (sql) => void (await rows(sql)),
    close: async () => await run('vacuum analyze'),
  };
  async function run(sql: string): Promise<void> {
    await rows(sql);
  }
}

/**
 * Runs `statement` for every number from 1 to `count`, which it reads as `i` from a table `n`. `filled` is the way in
 * which it is quick to add many rows: without their indexes, which are made again at the end.
 */
export async function fill(
  database: SeededDatabase,
  count: number,
  statements: readonly string[],
): Promise<void> {
  const indexes = await database.rows(INDEXES[database.place.engine]);
  for (const { name } of indexes) await database.run(`drop index ${name}`);
  for (const statement of statements) {
    for (let from = 1; from <= count; from += AT_ONCE) {
      const to = Math.min(count, from + AT_ONCE - 1);
      const [into, ...select] = statement.split('SELECT ');
      const numbers = `with recursive n (i) as (select cast(${from} as bigint) union all select i + 1 from n where i < ${to})`;
      await database.run(`${into}${numbers} select ${select.join('SELECT ')}`);
    }
  }
  for (const { definition } of indexes) await database.run(String(definition));
}

/** The indexes that are no constraints, and what makes each. */
const INDEXES = {
  sqlite: `select name, sql as definition from sqlite_master where type = 'index' and sql is not null`,
  postgres: `select indexname as name, indexdef as definition from pg_indexes
    where schemaname = 'public' and indexname not in (select conname from pg_constraint)`,
};

const STEP = 618_033_989n;
const MODULUS = 1_000_000_007n;
const DIGITS = 100_000_000_000n;

/** Scattered, as random ids are, and each number has another one. */
function scattered(n: number): bigint {
  return DIGITS + ((BigInt(n) * STEP) % MODULUS);
}

/** The same in SQL: twelve digits, as text, of a number that an expression has. */
export function scatteredIn(expression: string): string {
  return `cast(${DIGITS} + (cast(${expression} as bigint) * ${STEP}) % ${MODULUS} as text)`;
}

/** The id of the thing or order `n` of a kind of ids, which is named by eight hexadecimal digits. */
export function idOf(kind: string, n: number): string {
  return `${kind}-0000-4000-8000-${scattered(n)}`;
}

/** The same in SQL. */
export function idIn(kind: string, expression: string): string {
  return `'${kind}-0000-4000-8000-' || ${scatteredIn(expression)}`;
}

/** A text in SQL. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
