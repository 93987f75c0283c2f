import type { Kysely, RawBuilder, Transaction } from 'kysely';
import type { Log } from '../log/index.ts';
import type { Heard } from './channels.ts';

/**
 * Database: one truth, durable before it answers. The same repositories run on every engine.
 *
 * - `write` runs a function in a transaction and resolves after the commit is on disk; if the function throws,
 *   nothing it did remains and its error is rethrown. Writes that are started together may share one commit, yet
 *   each is all or nothing by itself. The function must do nothing but query (no waiting for the outside), and
 *   must use the transaction that it is given: calling `write` or `read` inside throws where the engine would wait
 * - A write that rejects with `unavailable` or `disk_full` did not happen as far as anyone can see; after a crash of
 *   the database at that very moment it may turn out to have happened. So a write must bear being repeated.
 * - `read` is for queries outside a transaction: it sees only what is committed.
 * - `now` is the database's clock in milliseconds since 1970, as an expression: the only clock by which leases and
 *   deadlines are judged.
 * - `notify` tells every listener of the channel: those of this opening at once, those of others (in this process or
 *   any other) soon. It is a hint that costs nobody a wait: it may be lost, and same ones may be told once.
 *   Call it after the write that it is about. Channels are of `a-z` and `_`, texts of at most 1000 bytes.
 * - Opening brings the schema up to date, in one transaction: all new steps, or none. Several services may open one
 *   database at the same time (where the engine lets more than one in), each with steps of its own under its `owner`.
 *   A database that is newer than the program is `wrong_state`.
 * - A database that does not answer is `unavailable`, a full disk is `disk_full`; other errors of the engine pass
 *   through as they are (they are ours).
 * - Disposing waits for the writes under way; doing it twice is harmless. After it every call is `unavailable`.
 */
export interface Database<Schema> {
  readonly engine: 'sqlite' | 'postgres';
  readonly read: Kysely<Schema>;
  write<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T>;
  readonly now: RawBuilder<number>;
  notify(channel: string, text: string): void;
  /** Calls `heard` with what is notified, and where that was, until it is disposed; it must not throw. */
  listen(channel: string, heard: Heard): Disposable;
  /** Rejects with `unavailable` and the reason in one line when the database does not answer. */
  ping(signal?: AbortSignal): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Steps that bring a schema up to date, by name; names sort in the order in which they run, and never change. */
export type Migrations = Readonly<Record<string, (schema: Kysely<unknown>) => Promise<void>>>;

/** What every driver is given. */
export interface OpenDatabase {
  readonly migrations: Migrations;
  /** Whose steps they are: services that share a database need different names, of `a-z` and `_`. `schema` where absent. */
  readonly owner?: string;
  /** For what is worth knowing: steps that were run, writes that hold the others up. */
  readonly log?: Log;
}
