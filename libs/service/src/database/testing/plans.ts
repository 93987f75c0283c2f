import { CompiledQuery, type Kysely, type KyselyPlugin, type RootOperationNode, sql } from 'kysely';
import type { Database } from '../database.ts';

/** The queries that are made by way of a database, and how the engine would carry them out. */
export interface RecordedQueries<Schema> {
  /** The same database; disposing it is its owner's. */
  readonly database: Database<Schema>;
  /**
   * How many different queries there were, and which of them look through one of these tables, or through one of its
   * indexes, from end to end: as `SCAN <table>[ USING INDEX <name>]: <query>`. A table goes by the name, or the alias,
   * that the query has for it (SQLite), or by its own (PostgreSQL).
   */
  scansOf(
    tables: readonly string[],
  ): Promise<{ readonly queries: number; readonly scans: readonly string[] }>;
  /** The indexes that the queries would go by, on SQLite. */
  usedIndexes(): Promise<ReadonlySet<string>>;
}

/** Records queries, so that a test can look at their plans. The tables may be empty: how many rows there are is no matter. */
export function recordQueries<Schema>(database: Database<Schema>): RecordedQueries<Schema> {
  const queries = new Map<string, CompiledQuery>();
  const executor = database.read.getExecutor();
  const recorder: KyselyPlugin = {
    transformQuery: ({ node, queryId }) => {
      const query = executor.compileQuery<RootOperationNode>(node, queryId);
      queries.set(query.sql, query);
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const plain = () => [...queries.values()].filter(({ sql }) => PLAIN.test(sql));
  return {
    database: {
      ...{ engine: database.engine, now: database.now },
      read: database.read.withPlugin(recorder),
      write: async (work) => await database.write(async (tx) => await work(tx.withPlugin(recorder))),
      notify: (channel, text) => database.notify(channel, text),
      listen: (...how) => database.listen(...how),
      ping: async (signal) => await database.ping(signal),
      [Symbol.asyncDispose]: async () => undefined,
    },
    async scansOf(tables) {
      if (database.engine === 'postgres') await pretendLarge(database);
      const scansIn = database.engine === 'sqlite' ? scansOnSqlite : scansOnPostgres;
      const scans: string[] = [];
      for (const query of plain()) {
        const found = await database.write(async (tx) => await scansIn(tx, query));
        for (const { table, scan } of found)
          if (tables.includes(table)) scans.push(`${scan}: ${query.sql.replaceAll(/\s+/g, ' ').trim()}`);
      }
      return { queries: queries.size, scans };
    },
    async usedIndexes() {
      const used = new Set<string>();
      for (const query of plain()) {
        const plan = await database.write(async (tx) => await planOnSqlite(tx, query));
        for (const detail of plan) {
          const index = / USING (?:COVERING )?INDEX (\w+)/.exec(detail)?.[1];
          if (index !== undefined) used.add(index);
        }
      }
      return used;
    },
  };
}

/**
 * Tells PostgreSQL that each table has thousands of rows a page, whatever it has counted, and that the empty ones were never
 * counted: of a small one it reads an index from end to end where that is no dearer than to look into it.
 */
async function pretendLarge<Schema>({ read }: Database<Schema>): Promise<void> {
  // A database may have had other tests before, and have room where their rows were.
  const { rows } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = current_schema()`.execute(read);
  for (const { name } of rows) await sql`vacuum full ${sql.table(name)}`.execute(read);
  await sql`
    update pg_class set
      reltuples = case when pg_relation_size(oid) > 0 then 5000 else -1 end,
      relpages = case when pg_relation_size(oid) > 0 then 1 else 0 end
    where relkind in ('r', 'i') and relnamespace = current_schema()::regnamespace`.execute(read);
  await sql`
    delete from pg_statistic where starelid in
      (select oid from pg_class where relnamespace = current_schema()::regnamespace)`.execute(read);
}

const PLAIN = /^\s*(select|insert|update|delete|with)/i;

interface Scan {
  readonly table: string;
  readonly scan: string;
}

async function planOnSqlite<Schema>(read: Kysely<Schema>, query: CompiledQuery): Promise<string[]> {
  const { rows } = await read.executeQuery<{ detail: string }>(
    CompiledQuery.raw(`explain query plan ${query.sql}`, [...query.parameters]),
  );
  return rows.map(({ detail }) => detail);
}

async function scansOnSqlite<Schema>(read: Kysely<Schema>, query: CompiledQuery): Promise<Scan[]> {
  return (await planOnSqlite(read, query)).flatMap((detail) => {
    const table = /^SCAN (\w+)/.exec(detail)?.[1];
    return table === undefined ? [] : { table, scan: detail };
  });
}

/** A node of a plan of PostgreSQL, as far as it matters here. */
interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Plans?: readonly PlanNode[];
}

/**
 * A table without rows is always read as a whole, also for a join, unless that is forbidden: then it is where there is no
 * other way.
 */
async function scansOnPostgres<Schema>(tx: Kysely<Schema>, query: CompiledQuery): Promise<Scan[]> {
  for (const way of ['seqscan', 'hashjoin', 'mergejoin', 'material'])
    await sql`set local ${sql.raw(`enable_${way}`)} = off`.execute(tx);
  for (const cost of ['cpu_tuple_cost', 'cpu_index_tuple_cost'])
    await sql`set local ${sql.raw(cost)} = 100`.execute(tx);
  const { rows } = await tx.executeQuery<{ 'QUERY PLAN': readonly { readonly Plan: PlanNode }[] }>(
    CompiledQuery.raw(`explain (format json) ${query.sql}`, [...query.parameters]),
  );
  return rows.flatMap((row) => row['QUERY PLAN'].flatMap(({ Plan }) => scansBelow(Plan)));
}

function scansBelow(node: PlanNode): Scan[] {
  const below = (node.Plans ?? []).flatMap(scansBelow);
  const table = node['Relation Name'];
  const index = node['Index Name'];
  if (table === undefined) return below;
  if (node['Node Type'] === 'Seq Scan') return [...below, { table, scan: `SCAN ${table}` }];
  if (index === undefined || node['Index Cond'] !== undefined) return below;
  return [...below, { table, scan: `SCAN ${table} USING INDEX ${index}` }];
}
