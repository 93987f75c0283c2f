import { PlatformError } from '@morpheo/common';
import { Kysely, PostgresDialect, sql } from 'kysely';
import type { OpenDatabase } from '../database.ts';
import { migrate } from '../migrate.ts';
import { ConnectionPool, type PoolOptions } from './pool.ts';

/** Of this version and newer ones we know that all of it works. */
const OLDEST_VERSION = 150_000;
/** How long a service waits for another one that is at the same work, in milliseconds. */
const PATIENCE_MS = 600_000;
/** Names the lock under which schemas change; any number would do that nobody else takes. */
const LOCK = 0x6d6f7270;

/**
 * Checks that the server is one that keeps what it says, and brings the schema up to date. Of services that do so
 * together one works while the others wait; a step may take longer than other statements.
 */
export async function prepareSchema(pool: PoolOptions, options: OpenDatabase): Promise<void> {
  const times = { ...pool.times, statementMs: 0, lockMs: PATIENCE_MS, idleInTransactionMs: 0 };
  const own = new ConnectionPool({ ...pool, times, size: 1 });
  const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: own }) });
  try {
    await kysely.connection().execute(async (connection) => {
      await checkServer(connection, own.name);
      // Held by the connection, and so gone with it.
      await sql`select pg_advisory_lock(${sql.lit(LOCK)})`.execute(connection);
      await migrate(connection, options);
    });
  } finally {
    await own.end();
  }
}

interface Server {
  readonly version: number;
  readonly encoding: string;
  readonly fsync: string;
  readonly commits: string;
}

/** Rejects with `unavailable` where a server is too old, or would not keep what it has acknowledged. */
export async function checkServer(connection: Kysely<unknown>, name: string): Promise<void> {
  const { rows } = await sql<Server>`select current_setting('server_version_num')::int as version,
    current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
    current_setting('synchronous_commit') as commits`.execute(connection);
  const [server] = rows;
  if (server === undefined) return;
  const problems: readonly [boolean, string][] = [
    [server.version < OLDEST_VERSION, 'is older than version 15; update it'],
    [server.encoding !== 'UTF8', `keeps texts as ${server.encoding}; create the database with encoding UTF8`],
    [server.fsync === 'off' || server.commits === 'off', LOSES],
  ];
  const [, problem] = problems.find(([wrong]) => wrong) ?? [];
  if (problem !== undefined) throw new PlatformError('unavailable', `${name} ${problem}.`);
}

const LOSES =
  'loses what it has acknowledged when the power fails; set fsync and synchronous_commit to on there';
