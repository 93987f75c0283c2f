import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import { Pool, type PoolClient } from 'pg';
import type { Log } from '../../log/index.ts';
import { closedError } from '../database.ts';
import { nameOf, type PostgresAddress } from './address.ts';
import { clientConfig, type PostgresTimes, sessionSettings } from './client-config.ts';
import { fromPostgresError, lossOf } from './errors.ts';

/** What a {@link ConnectionPool} is made with. */
export interface PoolOptions {
  readonly address: PostgresAddress;
  readonly times: PostgresTimes;
  /** The most connections at once. */
  readonly size: number;
  /** The name that the server shows for the connections. */
  readonly name: string;
  readonly log: Log;
}

const IDLE_MS = 30_000;
/** Connections are renewed now and then, so that those of a server that was replaced move over. */
const LIFETIME_S = 1_800;

/**
 * The connections to one database, in the shape that Kysely's dialect takes. Errors leave it in the platform's terms;
 * a connection that broke is not used again, and that the server is away, or back, is logged once.
 */
export class ConnectionPool implements PostgresPool {
  readonly options = {};
  readonly name: string;
  readonly #pool: Pool;
  readonly #log: Log;
  readonly #known = new WeakMap<PoolClient, PooledConnection>();
  #state: 'answers' | 'away' = 'answers';
  #ended: Promise<void> | undefined;

  constructor({ address, times, size, name, log }: PoolOptions) {
    this.name = nameOf(address);
    this.#log = log;
    this.#pool = new Pool({
      ...clientConfig(address, times, name),
      max: size,
      idleTimeoutMillis: IDLE_MS,
      maxLifetimeSeconds: LIFETIME_S,
      onConnect: async (client) => void (await client.query(sessionSettings(times))),
    });
    // Without listeners a connection that breaks while nobody uses it would end the process. What it means shows when
    // the next one is opened.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
  }

  /** A connection for the caller alone, until it is released. Throws `unavailable`, also once the pool has ended. */
  async connect(): Promise<PostgresPoolClient> {
    if (this.#ended !== undefined) throw closedError(this.name);
    try {
      const client = await this.#pool.connect();
      const connection = this.#known.get(client) ?? new PooledConnection(client, this);
      this.#known.set(client, connection);
      return connection;
    } catch (error) {
      this.#noteAway(error);
      throw fromPostgresError(error, this.name);
    }
  }

  /** Runs one statement on a connection of its own. */
  async query<R>(sql: string, values: readonly unknown[] = []): Promise<PostgresQueryResult<R>> {
    const client = await this.connect();
    try {
      return await client.query<R>(sql, values);
    } finally {
      client.release();
    }
  }

  /** Lets nobody in any more, and resolves when those who have a connection have given it back. */
  end(): Promise<void> {
    this.#ended ??= this.#pool.end();
    return this.#ended;
  }

  /** Notes that the server has answered. */
  noteAnswer(): void {
    if (this.#state === 'answers') return;
    this.#state = 'answers';
    this.#log.info({ database: this.name }, 'the database answers again');
  }

  #noteAway(reason: unknown): void {
    if (this.#state === 'away' || lossOf(reason) !== 'server') return;
    this.#state = 'away';
    const error = fromPostgresError(reason, this.name);
    this.#log.warn({ database: this.name, error }, 'the database is away');
  }
}

/** One connection of the pool, as long as it lasts. */
class PooledConnection implements PostgresPoolClient {
  readonly #client: PoolClient;
  readonly #pool: ConnectionPool;
  #state: 'good' | 'broken' = 'good';

  constructor(client: PoolClient, pool: ConnectionPool) {
    this.#client = client;
    this.#pool = pool;
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  // Kysely's cursors are not used here: no query streams.
  query(cursor: never): never;
  async query<R>(sql: string, parameters: readonly unknown[] = []): Promise<PostgresQueryResult<R>> {
    try {
      const result = await this.#client.query(sql, [...parameters]);
      this.#pool.noteAnswer();
      return result as unknown as PostgresQueryResult<R>;
    } catch (error) {
      if (lossOf(error) !== undefined) this.#state = 'broken';
      throw fromPostgresError(error, this.#pool.name);
    }
  }

  release(destroy?: boolean): void {
    this.#client.release(destroy === true || this.#state === 'broken');
  }
}
