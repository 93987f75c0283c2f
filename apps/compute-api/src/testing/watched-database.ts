import type { Database } from '@morpheo/service/database';
import type { Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** The same database; `around` runs the work of each transaction. Disposing it leaves the database open. */
export function watchedDatabase(
  database: Database<Schema>,
  around: <T>(tx: Transaction<Schema>, work: () => Promise<T>) => Promise<T>,
): Database<Schema> {
  return {
    ...{ engine: database.engine, read: database.read, now: database.now },
    write: async (work) => await database.write(async (tx) => await around(tx, async () => await work(tx))),
    notify: (channel, text) => database.notify(channel, text),
    listen: (...how) => database.listen(...how),
    ping: async (signal) => await database.ping(signal),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
