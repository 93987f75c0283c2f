import { PlatformError } from '@morpheo/common';
import { Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import { silentLog } from '../../log/index.ts';
import { Channels, type Heard } from '../channels.ts';
import type { Database, OpenDatabase } from '../database.ts';
import { closedError } from '../database.ts';
import { insideWrite, refuseInsideWrite } from '../write-queue.ts';
import type { PostgresAddress } from './address.ts';
import { POSTGRES_TIMES, type PostgresTimes } from './client-config.ts';
import { PooledDialect } from './dialect.ts';
import { triesFor } from './errors.ts';
import { ConnectionPool, type PoolOptions } from './pool.ts';
import { prepareSchema, requireWritable } from './schema.ts';
import { WakeUps } from './wake-ups.ts';

/** What {@link openPostgres} is given. */
export interface OpenPostgres extends OpenDatabase {
  readonly address: PostgresAddress;
  /** The most connections at once; 10 where absent. One more hears the notifications of other services. */
  readonly poolSize?: number;
  readonly times?: Partial<PostgresTimes>;
}

/**
 * Opens a database on a PostgreSQL server of version 15 or newer, and brings its schema up to date; any number of
 * services may have it open. A write is a transaction of its own (READ COMMITTED), on disk when it is answered. Where
 * it meets a deadlock, or loses its connection before the commit, it is run again. Values are null, numbers and texts
 * without U+0000. Throws `unavailable`, naming the server and the remedy, where it cannot be used.
 */
export async function openPostgres<Schema>(options: OpenPostgres): Promise<Database<Schema>> {
  const { address, poolSize: size = 10, owner: name = 'schema', log = silentLog } = options;
  const pool: PoolOptions = { address, size, name, log, times: { ...POSTGRES_TIMES, ...options.times } };
  await prepareSchema(pool, options);
  return new Postgres<Schema>(pool);
}

class Postgres<Schema> implements Database<Schema> {
  readonly engine = 'postgres';
  readonly read: Kysely<Schema>;
  // The statement's time, not the transaction's: it is as exact, and unlike clock_timestamp() finds its way by an index.
  readonly now: RawBuilder<number> =
    sql<number>`floor(extract(epoch from statement_timestamp()) * 1000)::bigint`;
  readonly #pool: ConnectionPool;
  readonly #wakeUps: WakeUps;
  readonly #writes = new Set<Promise<unknown>>();
  #ending: Promise<void> | undefined;

  constructor(options: PoolOptions) {
    this.#pool = new ConnectionPool(options);
    this.read = new Kysely<Schema>({ dialect: new PooledDialect(this.#pool) });
    this.#wakeUps = new WakeUps(options, this.#pool, new Channels(options.log));
  }

  async write<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T> {
    refuseInsideWrite('write()');
    if (this.#ending !== undefined) throw closedError(this.#pool.name);
    const write = this.#writeUntilItGoes(work);
    this.#writes.add(write);
    try {
      return await write;
    } finally {
      this.#writes.delete(write);
    }
  }

  notify(channel: string, text: string): void {
    this.#wakeUps.notify(channel, text);
  }

  listen(channel: string, heard: Heard, begins?: () => void): Disposable {
    return this.#wakeUps.listen(channel, heard, begins);
  }

  async ping(signal?: AbortSignal): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const giveUp = (): void => {
      reject(new PlatformError('unavailable', `${this.#pool.name} does not answer in time.`));
    };
    if (signal?.aborted === true) giveUp();
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      await Promise.race([requireWritable(this.#pool), late]);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await Promise.allSettled(this.#writes);
    await this.#wakeUps[Symbol.asyncDispose]();
    await this.#pool.end();
  }

  async #writeUntilItGoes<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const run = { active: true, done: false };
      try {
        return await this.read.transaction().execute(async (transaction) => {
          const value = await insideWrite.run(run, () => work(transaction));
          run.active = false;
          run.done = true;
          return value;
        });
      } catch (error) {
        // Once the commit was asked for, nobody knows whether it happened: whoever asked may ask again.
        if (run.done || tries >= triesFor(error)) throw error;
      } finally {
        run.active = false;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10 * 2 ** tries));
    }
  }
}
