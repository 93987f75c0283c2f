import { Kysely, sql } from 'kysely';
import { silentLog } from '../../log/index.ts';
import type { DatabasePlace } from '../open.ts';
import { nameOf } from './address.ts';
import { POSTGRES_TIMES } from './client-config.ts';
import { PooledDialect } from './dialect.ts';
import { ConnectionPool } from './pool.ts';
import { checkServer, refusePooler } from './schema.ts';

/**
 * The steps of a schema that a server has, none where it has no such table; a server that loses what it has
 * acknowledged is refused as at the start. Rejects with `unavailable` where it does not answer.
 */
export async function stepsOnServer(
  { address, times }: Extract<DatabasePlace, { engine: 'postgres' }>,
  table: string,
): Promise<{ readonly name: string; readonly done: readonly string[] }> {
  const pool = new ConnectionPool({
    address,
    size: 2,
    name: 'check',
    log: silentLog,
    times: { ...POSTGRES_TIMES, ...times },
  });
  const kysely = new Kysely<unknown>({ dialect: new PooledDialect(pool) });
  try {
    await refusePooler(pool);
    await checkServer(kysely, pool.name);
    const { rows } = await sql<{ there: boolean }>`select to_regclass(${table}) is not null as there`.execute(
      kysely,
    );
    if (rows[0]?.there !== true) return { name: nameOf(address), done: [] };
    const steps = await sql<{ name: string }>`select name from ${sql.table(table)} order by name`.execute(
      kysely,
    );
    return { name: nameOf(address), done: steps.rows.map(({ name }) => name) };
  } finally {
    await pool.end();
  }
}
