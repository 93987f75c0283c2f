import {
  type DatabaseConnection,
  type Driver,
  type KyselyPlugin,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
  type SelectModifierNode,
  SqliteAdapter,
  SqliteDialect,
  SqliteDriver,
  SqliteQueryCompiler,
} from 'kysely';
import { closedError } from '../database.ts';
import { refuseInsideWrite } from '../write-queue.ts';
import type { SqliteConnection } from './connection.ts';

/**
 * Kysely's dialect for one SQLite connection that reads and batches of writes take turns at. Its transactions are
 * savepoints: inside the transaction of a batch each is all or nothing by itself, and alone one is a transaction.
 */
export class OneConnectionDialect extends SqliteDialect {
  readonly #connection: SqliteConnection;
  readonly #file: string;

  constructor(connection: SqliteConnection, file: string) {
    super({ database: connection });
    this.#connection = connection;
    this.#file = file;
  }

  override createDriver(): Driver {
    return new OneConnectionDriver(this.#connection, this.#file);
  }

  override createAdapter(): SqliteAdapter {
    return new OneConnectionAdapter();
  }

  override createQueryCompiler(): SqliteQueryCompiler {
    return new OneWriterCompiler();
  }
}

/** Leaves out the locks of rows that queries ask for (`for update` and its kind): a write is alone here anyway. */
class OneWriterCompiler extends SqliteQueryCompiler {
  protected override visitSelectModifier(node: SelectModifierNode): void {
    if (node.modifier === undefined || !ROW_LOCKS.has(node.modifier)) super.visitSelectModifier(node);
  }
}

const ROW_LOCKS: ReadonlySet<string> = new Set([
  'ForUpdate',
  'ForNoKeyUpdate',
  'ForShare',
  'ForKeyShare',
  'NoWait',
  'SkipLocked',
]);

class OneConnectionAdapter extends SqliteAdapter {
  /** True, so that Kysely leaves the queue for the connection to this driver, which is a fair one. */
  override get supportsMultipleConnections(): true {
    return true;
  }

  /** SQLite's schema changes are part of a transaction, so that a step that fails leaves nothing behind. */
  override get supportsTransactionalDdl(): true {
    return true;
  }
}

class OneConnectionDriver extends SqliteDriver {
  readonly #connection: SqliteConnection;
  readonly #file: string;
  readonly #line: (() => void)[] = [];
  #state: 'free' | 'taken' = 'free';

  constructor(connection: SqliteConnection, file: string) {
    super({ database: connection });
    this.#connection = connection;
    this.#file = file;
  }

  /** Waits its turn: first come, first served, so that a stream of writes does not keep reads waiting. */
  override async acquireConnection(): Promise<DatabaseConnection> {
    refuseInsideWrite('the database');
    if (this.#state === 'taken') await new Promise<void>((resolve) => this.#line.push(resolve));
    this.#state = 'taken';
    if (!this.#connection.isOpen) {
      this.#next();
      throw closedError(`The database ${this.#file}`);
    }
    return await super.acquireConnection();
  }

  override async releaseConnection(): Promise<void> {
    this.#next();
  }

  override async beginTransaction(): Promise<void> {
    this.#connection.prepare('savepoint work').run([]);
  }

  override async commitTransaction(): Promise<void> {
    this.#connection.prepare('release work').run([]);
  }

  override async rollbackTransaction(): Promise<void> {
    this.#connection.prepare('rollback to work').run([]);
    this.#connection.prepare('release work').run([]);
  }

  #next(): void {
    const next = this.#line.shift();
    // Stays taken where somebody waits: it is handed on, and nobody gets in between.
    if (next === undefined) this.#state = 'free';
    else next();
  }
}

/** Keeps the rows that a query has read until all that was committed before is on disk: a power cut must not undo it. */
export class OnDiskPlugin implements KyselyPlugin {
  readonly #connection: SqliteConnection;

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  transformQuery({ node }: PluginTransformQueryArgs) {
    return node;
  }

  async transformResult({ result }: PluginTransformResultArgs) {
    await this.#connection.unsynced;
    return result;
  }
}
