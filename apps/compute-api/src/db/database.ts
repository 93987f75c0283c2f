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
import type { HeldEffect, Lane, Which } from '../outbox/effects.ts';
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
  /** What it has put into the outbox so far. */
  readonly outgoing: Outgoing;
}

/** What a transaction has put into the outbox. */
export interface Outgoing {
  /**
   * How long nobody else carries out a new effect that this process is to carry out as soon as it is committed, in
   * milliseconds; 0 where this process carries out none.
   */
  readonly holdMs: number;
  /** The effects that this process is to carry out. */
  readonly held: HeldEffect[];
  /** Of what sort there are others that are due. */
  readonly due: Set<Which>;
}

/** Who carries out what transactions put into the outbox. */
export interface Relay {
  /** See {@link Outgoing.holdMs}. */
  readonly holdMs: () => number;
  /** Is told of what has been committed; must not throw. */
  readonly carry: (outgoing: Outgoing) => void;
}

/**
 * compute-api's database, and the one bus of what happens to orders: whoever subscribes hears of each change once it is
 * committed, and never of one that was undone.
 */
export class ComputeDatabase {
  readonly #database: Database<Schema>;
  readonly #lanes: readonly Lane[];
  readonly #subscribers: ((change: Change) => void)[] = [];
  #relay: Relay | undefined;

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

  get engine(): Database<Schema>['engine'] {
    return this.#database.engine;
  }

  /** Tells who subscribed of changes that are committed. */
  announce(changes: readonly Change[]): void {
    for (const change of changes) {
      for (const subscriber of this.#subscribers) subscriber(change);
    }
  }

  /** Has what is put into the outbox from now on carried out by `relay`. */
  relayBy(relay: Relay): void {
    this.#relay = relay;
  }

  /** Runs `work` in a transaction, as `Database.write` does, then announces the changes that it made. */
  async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    let changes: Change[] = [];
    let outgoing: Outgoing = { holdMs: 0, held: [], due: new Set() };
    const result = await this.#database.write(async (db) => {
      // An engine may run the work again, when it has undone it.
      changes = [];
      outgoing = { holdMs: this.#relay?.holdMs() ?? 0, held: [], due: new Set() };
      const { engine, now } = this.#database;
      return await work({ db, engine, now, lanes: this.#lanes, changes, outgoing });
    });
    this.announce(changes);
    if (outgoing.held.length > 0 || outgoing.due.size > 0) this.#relay?.carry(outgoing);
    return result;
  }
}

/**
 * Of PostgreSQL, an expression by which the transaction of its statement does not wait for the disk: it is lost with the
 * server where that breaks down within the second. For what happens once more then.
 */
export const WITHOUT_WAITING = sql<string>`set_config('synchronous_commit', 'off', true)`;

/** A statement that changes rows, and answers nothing that is needed. */
export type Beside = OperationNodeSource;

/**
 * Runs a statement that answers rows, and others beside it that have nothing to do with one another nor with it: no row is
 * touched by two of them. Where each statement is a way to the server they are one. Returns the rows of the first. With
 * `waits` false the commit does not wait for the disk, see {@link WITHOUT_WAITING}.
 */
export async function runTogether<R>(
  { db, engine }: Pick<Tx, 'db' | 'engine'>,
  main: (Compilable<R> | RawBuilder<R>) & OperationNodeSource,
  beside: readonly Beside[],
  { waits = true } = {},
): Promise<R[]> {
  if (engine === 'postgres' && (beside.length > 0 || !waits)) {
    const parts = [...beside, main].map(
      (statement, index) => sql`${sql.raw(`part_${index}`)} as (${statement})`,
    );
    const last = sql.raw(`part_${beside.length}`);
    const columns = waits ? sql`*` : sql`${last}.*, ${WITHOUT_WAITING} as waits`;
    const { rows } = await sql<R & { waits?: string }>`with ${sql.join(parts)}
      select ${columns} from ${last}`.execute(db);
    for (const row of rows) delete row.waits;
    return rows;
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
