import { PlatformError } from '@morpheo/common';
import type { Schema } from '@morpheo/compute-api';
import type { Database } from '@morpheo/service/database';
import { sql, type Transaction } from 'kysely';
import type { Faults } from '../faults/faults.ts';
import type { Machine } from './machine.ts';
import { sleep } from './virtual-time.ts';

/** After so long a database that says nothing counts as away, in milliseconds. */
const LATE_MS = 10_000;

/** The clock of the database server, which may be set. */
export interface DatabaseClock {
  offsetMs: number;
}

/**
 * The database as one process sees it: its clock is the world's, and a write may fail, or be committed although the
 * process is told that it failed, or dies before it hears of it.
 */
export function databaseOf(
  machine: Machine,
  database: Database<Schema>,
  clock: DatabaseClock,
  faults: Faults,
): Database<Schema> {
  return {
    engine: database.engine,
    read: database.read,
    get now() {
      return sql<number>`${Date.now() + clock.offsetMs}`;
    },
    async write(work) {
      await machine.pass();
      const fate = faults.write();
      if (fate === 'late') await sleep(LATE_MS);
      if (fate === 'failed' || fate === 'late')
        throw new PlatformError('unavailable', 'The database does not answer.');
      const value = fate === 'forgotten' ? await forgotten(database, work) : await database.write(work);
      await machine.pass();
      if (fate === 'unsure')
        throw new PlatformError('unavailable', 'The database was lost during the commit.');
      return value;
    },
    notify: (channel, text) => {
      if (faults.notification() === 'fine') database.notify(channel, text);
    },
    listen: (channel, heard) => database.listen(channel, heard),
    ping: async (signal) => await database.ping(signal),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** A write that is answered as if it were committed, and is not. */
async function forgotten<T>(
  database: Database<Schema>,
  work: (transaction: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  const done: T[] = [];
  const rolledBack = new Error('The write is forgotten.');
  const write = database.write(async (tx) => {
    done.push(await work(tx));
    throw rolledBack;
  });
  await write.catch((error: unknown) => {
    if (error !== rolledBack) throw error;
  });
  return done[0] as T;
}
