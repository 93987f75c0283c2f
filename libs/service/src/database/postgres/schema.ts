import { PlatformError, retry } from '@morpheo/common';
import { Kysely, PostgresAdapter, PostgresDialect, type PostgresPoolClient, sql } from 'kysely';
import type { Log } from '../../log/index.ts';
import type { OpenDatabase } from '../database.ts';
import { migrate } from '../migrate.ts';
import { ConnectionPool, type PoolOptions } from './pool.ts';

/** Of this version and newer ones we know that all of it works. */
const OLDEST_VERSION = 150_000;
/** How long a service waits for the locks that a step of the schema needs, all tries together, in milliseconds. */
const PATIENCE_MS = 600_000;
/** How long one try waits: everybody else who wants the table waits behind it, and gives up after five seconds. */
const LOCK_MS = 2_000;
const PAUSES = { firstMs: 500, mostMs: 5_000, jitter: 0.5 } as const;
/** Names the lock under which schemas change; any number would do that nobody else takes. */
const LOCK = 0x6d6f7270;

/**
 * Checks that the server is one that keeps what it says, and brings the schema up to date. Of
 * services that do so together one works while the others wait. A step that needs a table which others use is tried
 * again and again, so that whoever uses it now goes on meanwhile; who is waited for is logged.
 */
export async function prepareSchema(pool: PoolOptions, options: OpenDatabase): Promise<void> {
  const times = { ...pool.times, statementMs: 0, lockMs: LOCK_MS, idleInTransactionMs: 0 };
  const own = new ConnectionPool({ ...pool, times, size: 2 });
  const kysely = new Kysely<unknown>({ dialect: new SchemaDialect({ pool: own }) });
  const until = performance.now() + PATIENCE_MS;
  const prepare = async () =>
    await kysely.connection().execute(async (connection) => {
      await checkServer(connection, own.name);
      await sql`select pg_advisory_lock(${sql.lit(LOCK)})`.execute(connection);
      try {
        await migrate(connection, options);
      } finally {
        await sql`select pg_advisory_unlock(${sql.lit(LOCK)})`.execute(connection);
      }
    });
  const prepareOnce = async () => {
    try {
      await prepare();
    } catch (error) {
      if (isLockTimeout(error)) await logWait(own, pool.log);
      throw error;
    }
  };
  try {
    await refusePooler(own);
    await retry(prepareOnce, {
      ...PAUSES,
      retryIf: (error) => isLockTimeout(error) && performance.now() < until,
    });
  } finally {
    await own.end();
  }
}

/** Kysely's own lock of migrations is left out: it sets our bound of a wait aside. */
class SchemaDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new LocklessAdapter();
  }
}

class LocklessAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {
    // We hold one of ours.
  }

  override async releaseMigrationLock(): Promise<void> {
    // See above.
  }
}

/** PostgreSQL's lock_not_available: what a statement waited for is held by another transaction. */
function isLockTimeout(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if ('code' in cause && cause.code === '55P03') return true;
  return false;
}

interface OpenTransaction {
  readonly pid: number;
  readonly application: string;
  readonly seconds: number;
  readonly statement: string;
}

/** Says which transactions have been open for longest: one of them holds what the schema waits for. */
async function logWait(pool: ConnectionPool, log: Log): Promise<void> {
  const { rows } = await pool.query<OpenTransaction>(`select pid, application_name as application,
      extract(epoch from now() - xact_start)::int as seconds, left(query, 100) as statement
    from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    order by xact_start limit 3`);
  log.warn(
    { database: pool.name, waits_for: rows },
    'The schema waits for the transactions of others to end',
  );
}

/**
 * Rejects with `unavailable` where a pooler gives a connection away after each transaction: then no bound, no lock and
 * no subscription of a connection holds. Two clients would see the same connection of the server.
 */
export async function refusePooler(pool: ConnectionPool): Promise<void> {
  const first = await pool.connect();
  try {
    const own = await backendOf(first);
    const second = await pool.connect();
    try {
      await second.query('begin', []);
      const other = await backendOf(second);
      await second.query('rollback', []);
      if (own === other) throw new PlatformError('unavailable', `${pool.name} ${POOLED}.`);
    } finally {
      second.release();
    }
  } finally {
    first.release();
  }
}

const POOLED =
  'is behind a pooler that gives connections away between transactions; set pool_mode = session there, or name the server itself';

async function backendOf(connection: PostgresPoolClient): Promise<number | undefined> {
  const { rows } = await connection.query<{ pid: number }>('select pg_backend_pid() as pid', []);
  return rows[0]?.pid;
}

/** Rejects with `unavailable` where the server takes no writes at the moment. */
export async function requireWritable(pool: ConnectionPool): Promise<void> {
  const { rows } = await pool.query<{ readonly read_only: boolean }>(`select ${READ_ONLY} as read_only`);
  if (rows[0]?.read_only === true) throw new PlatformError('unavailable', `${pool.name} ${TAKES_NO_WRITES}.`);
}

const READ_ONLY = "pg_is_in_recovery() or current_setting('transaction_read_only')::bool";
const TAKES_NO_WRITES =
  'is read-only: a standby (name the primary), or set so by its administrator (its disk may be full)';

interface Server {
  readonly version: number;
  readonly encoding: string;
  readonly fsync: string;
  readonly commits: string;
  readonly read_only: boolean;
}

/** Rejects with `unavailable` where a server is too old, or would not keep what it has acknowledged. */
export async function checkServer(connection: Kysely<unknown>, name: string): Promise<void> {
  const { rows } = await sql<Server>`select current_setting('server_version_num')::int as version,
    current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
    current_setting('synchronous_commit') as commits, ${sql.raw(READ_ONLY)} as read_only`.execute(connection);
  const [server] = rows;
  if (server === undefined) return;
  const problems: readonly [boolean, string][] = [
    [server.version < OLDEST_VERSION, 'is older than version 15; update it'],
    [server.encoding !== 'UTF8', `keeps texts as ${server.encoding}; create the database with encoding UTF8`],
    [server.fsync === 'off' || server.commits === 'off', LOSES],
    [server.read_only, TAKES_NO_WRITES],
  ];
  const [, problem] = problems.find(([wrong]) => wrong) ?? [];
  if (problem !== undefined) throw new PlatformError('unavailable', `${name} ${problem}.`);
}

const LOSES =
  'loses what it has acknowledged when the power fails; set fsync and synchronous_commit to on there';
