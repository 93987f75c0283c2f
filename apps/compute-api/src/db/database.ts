import type { Database } from '@morpheo/service/database';
import {
  type Compilable,
  type Kysely,
  type OperationNodeSource,
  type RawBuilder,
  sql,
  type Transaction,
} from 'kysely';
import type { Change } from '../orders/changes.ts';
import type { Lane } from '../outbox/effects.ts';
import type { Schema } from './schema.ts';

/** A write transaction on compute-api's tables: the value that every function works on which changes something. */
export interface Tx {
  readonly db: Transaction<Schema>;
  readonly engine: Database<Schema>['engine'];
  /** The database's clock in milliseconds since 1970, as an expression. */
  readonly now: RawBuilder<number>;
  /** The other systems that there are; effects on others are left out. */
  readonly lanes: readonly Lane[];
  /** The changes of orders that it has made so far, oldest first. */
  readonly changes: Change[];
}

/**
 * compute-api's database, and the one bus of what happens to orders: whoever subscribes hears of each change once it is
 * committed, and never of one that was undone.
 */
export class ComputeDatabase {
  readonly #database: Database<Schema>;
  readonly #lanes: readonly Lane[];
  readonly #subscribers: ((change: Change) => void)[] = [];

  constructor(database: Database<Schema>, lanes: readonly Lane[]) {
    this.#database = database;
    this.#lanes = lanes;
  }

  /** For queries outside a transaction: they see what is committed. */
  get read(): Kysely<Schema> {
    return this.#database.read;
  }

  /** The database's clock, as {@link Tx.now}; asked each time, since a database may give another from moment to moment. */
  get now(): RawBuilder<number> {
    return this.#database.now;
  }

  /** As `Database.notify`. */
  notify(channel: string, text: string): void {
    this.#database.notify(channel, text);
  }

  /** Calls `subscriber` with each change after its commit, in their order; it must not throw. */
  onCommitted(subscriber: (change: Change) => void): void {
    this.#subscribers.push(subscriber);
  }

  /** Runs `work` in a transaction, as `Database.write` does, then announces the changes that it made. */
  async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    let changes: Change[] = [];
    const result = await this.#database.write(async (db) => {
      // An engine may run the work again, when it has undone it.
      changes = [];
      const { engine, now } = this.#database;
      return await work({ db, engine, now, lanes: this.#lanes, changes });
    });
    for (const change of changes) {
      for (const subscriber of this.#subscribers) subscriber(change);
    }
    return result;
  }
}

/** A statement that changes rows, and answers nothing that is needed. */
export type Beside = OperationNodeSource;

/**
 * Runs a statement that answers rows, and others beside it that have nothing to do with one another nor with it: no row is
 * touched by two of them. Where each statement is a way to the server they are one. Returns the rows of the first.
 */
export async function runTogether<R>(
  { db, engine }: Pick<Tx, 'db' | 'engine'>,
  main: (Compilable<R> | RawBuilder<R>) & OperationNodeSource,
  beside: readonly Beside[],
): Promise<R[]> {
  if (engine === 'postgres' && beside.length > 0) {
    const others = sql.join(
      beside.map((statement, index) => sql`${sql.raw(`beside_${index}`)} as (${statement})`),
    );
    const all = sql<R>`with ${others}, main as (${main}) select * from main`;
    return (await all.execute(db)).rows;
  }
  const { rows } = await sql<R>`${main}`.execute(db);
  for (const statement of beside) await sql`${statement}`.execute(db);
  return rows;
}

/** The database's time now, in milliseconds since 1970. */
export async function timeOf(database: ComputeDatabase): Promise<number> {
  const { now } = await database.read.selectNoFrom(database.now.as('now')).executeTakeFirstOrThrow();
  return Number(now);
}
