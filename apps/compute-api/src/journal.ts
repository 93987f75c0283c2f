import type { Failure, OrderEvent } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import type { OrderRow, Schema, Tx } from './schema.ts';

/** A change of an order that is in its history, and on disk. */
export interface Change {
  readonly what: OrderEvent['what'];
  /** The order as it is since. */
  readonly order: Pick<OrderRow, 'id' | 'kind' | 'status' | 'attempt'> &
    Partial<Pick<OrderRow, 'worker' | 'created_at' | 'ended_at'>>;
  readonly failure?: Pick<Failure, 'reason' | 'step'> | undefined;
}

/** Tells of changes once they are committed, and never of those that were undone. */
export interface Journal {
  /** The same database; its writes are heard of. */
  readonly database: Database<Schema>;
  /** Notes a change that a transaction of {@link database} makes. */
  note(tx: Tx, change: Change): void;
}

/** Makes the {@link Journal} of a database; `committed` is called with each change, in their order. */
export function openJournal(database: Database<Schema>, committed: (change: Change) => void): Journal {
  const noted = new WeakMap<Tx, Change[]>();
  return {
    database: {
      engine: database.engine,
      read: database.read,
      // Asked each time: a database may tell it otherwise from moment to moment.
      get now() {
        return database.now;
      },
      notify: (channel, text) => database.notify(channel, text),
      listen: (channel, heard) => database.listen(channel, heard),
      ping: async (signal) => await database.ping(signal),
      [Symbol.asyncDispose]: async () => await database[Symbol.asyncDispose](),
      async write(work) {
        let changes: Change[] = [];
        const result = await database.write(async (tx) => {
          // An engine may run the work again, when it has undone it.
          changes = [];
          noted.set(tx, changes);
          return await work(tx);
        });
        for (const change of changes) committed(change);
        return result;
      },
    },
    note: (tx, change) => void noted.get(tx)?.push(change),
  };
}
