import { type DatabaseConnection, type Driver, PostgresDialect, PostgresDriver } from 'kysely';
import { refuseInsideWrite } from '../write-queue.ts';
import type { ConnectionPool } from './pool.ts';

/** Kysely's dialect for a pool of ours: a function given to `write` cannot ask it for a second connection. */
export class PooledDialect extends PostgresDialect {
  readonly #pool: ConnectionPool;

  constructor(pool: ConnectionPool) {
    super({ pool });
    this.#pool = pool;
  }

  override createDriver(): Driver {
    return new PooledDriver({ pool: this.#pool });
  }
}

class PooledDriver extends PostgresDriver {
  /** Two writes that each wait for a second connection could wait for one another. */
  override async acquireConnection(): Promise<DatabaseConnection> {
    refuseInsideWrite('the database');
    return await super.acquireConnection();
  }
}
