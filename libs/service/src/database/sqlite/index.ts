import { PlatformError } from '@morpheo/common';
import { Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import { silentLog } from '../../log/index.ts';
import { Channels, type Heard } from '../channels.ts';
import type { Database, OpenDatabase } from '../database.ts';
import { closedError } from '../database.ts';
import { migrate } from '../migrate.ts';
import { refuseInsideWrite, WriteQueue } from '../write-queue.ts';
import { SqliteConnection } from './connection.ts';
import { OnDiskPlugin, OneConnectionDialect } from './dialect.ts';
import { holdFile, prepareFile, refuseDamaged, requireFile } from './file.ts';
import type { LogOptions } from './log-of-writes.ts';
import { refuseForeignLog } from './write-log.ts';

/** What {@link openSqlite} is given. */
export interface OpenSqlite extends OpenDatabase, LogOptions {
  /** The database's file, made where there is none, with its folder; or `:memory:` for one that ends with the process. */
  readonly file: string;
}

/**
 * Opens the embedded database, takes its file for this process alone, and brings its schema up to date. Writes share
 * commits; each commit is on disk (WAL, synced) before it is answered. Values are null, numbers, texts and bytes.
 * A schema has no deferred constraints: they would be found broken by the shared commit, which rejects all its writes.
 */
export async function openSqlite<Schema>(options: OpenSqlite): Promise<Database<Schema>> {
  const connection = await connect(options);
  try {
    const kysely = new Kysely<Schema>({ dialect: new OneConnectionDialect(connection, options.file) });
    await migrate(kysely, options);
    await connection.sync();
    return new Sqlite(kysely, connection, options);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function connect(options: OpenSqlite): Promise<SqliteConnection> {
  const { file, log = silentLog } = options;
  const about = { ...options, log: log.child({ database: file }) };
  if (file === ':memory:') return new SqliteConnection(about);
  await prepareFile(file);
  const hold = holdFile(file);
  try {
    await refuseDamaged(file);
    await refuseForeignLog(file);
    return new SqliteConnection({ ...about, hold });
  } catch (error) {
    hold[Symbol.dispose]();
    throw error;
  }
}

class Sqlite<Schema> implements Database<Schema> {
  readonly engine = 'sqlite';
  readonly read: Kysely<Schema>;
  readonly now: RawBuilder<number> = sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;
  readonly #connection: SqliteConnection;
  readonly #file: string;
  readonly #queue: WriteQueue<Schema>;
  readonly #channels: Channels;
  #ending: Promise<void> | undefined;

  constructor(kysely: Kysely<Schema>, connection: SqliteConnection, { file, log = silentLog }: OpenSqlite) {
    this.read = kysely.withPlugin(new OnDiskPlugin(connection));
    this.#connection = connection;
    this.#file = file;
    this.#queue = new WriteQueue(kysely, connection, log.child({ database: file }));
    this.#channels = new Channels(log);
  }

  async write<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T> {
    refuseInsideWrite('write()');
    if (this.#ending !== undefined) throw closedError(`The database ${this.#file}`);
    return await this.#queue.add(work);
  }

  /** Nobody else has the file open: who listens is here. */
  notify(channel: string, text: string): void {
    this.#channels.deliver(channel, text, 'here');
  }

  /** Nobody else is ever heard, so that nothing of theirs begins to be. */
  listen(channel: string, heard: Heard): Disposable {
    return this.#channels.listen(channel, heard);
  }

  async ping(signal?: AbortSignal): Promise<void> {
    this.#connection.refuseDamaged();
    await requireFile(this.#file);
    try {
      await sql`select count(*) from sqlite_schema`.execute(
        this.read,
        signal === undefined ? {} : { signal },
      );
    } catch (error) {
      if (signal?.aborted !== true) throw error;
      throw new PlatformError('unavailable', `The database ${this.#file} does not answer in time.`, {
        cause: error,
      });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await this.#queue.drain();
    // In its turn, so that the reads that wait are served before.
    await this.read.connection().execute(async () => await this.#connection.close());
  }
}
