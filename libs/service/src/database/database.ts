import { PlatformError } from '@morpheo/common';
import type { Kysely, RawBuilder, Transaction } from 'kysely';
import type { Log } from '../log/index.ts';
import type { Heard } from './channels.ts';

/**
 * Database: one truth, durable before it answers. The same repositories run on every engine. The numbers name the
 * sentences that tests show.
 *
 * - [D1] `write` runs a function in a transaction, and resolves after the commit is on disk. [D2] If the function
 *   throws, nothing it did remains and its error is rethrown. [D3] Writes that are started together may share one
 *   commit, yet each is all or nothing by itself. [D4] The function must do nothing but query (no waiting for the
 *   outside), and must use the transaction that it is given: calling `write` or `read` inside throws where the engine
 *   would wait.
 * - [D5] A write that rejects with `unavailable` or `disk_full` did not happen as far as anyone can see; after a crash
 *   of the database at that very moment it may turn out to have happened. So a write must bear being repeated.
 * - [D6] `read` is for queries outside a transaction: it sees only what is committed.
 * - [D7] `now` is the database's clock in milliseconds since 1970, as an expression: the only clock by which leases and
 *   deadlines are judged.
 * - [D8] `notify` calls every listener of the channel: those of this opening at once, [D9] those of others (in this
 *   process or any other) soon. It is a hint that costs nobody a wait: it may be lost, and same ones may be delivered
 *   once. Call it after the write that it is about. [D10] Channels are of `a-z` and `_`, texts of at most 1000 bytes.
 *   [D11] A listener hears nothing once it is disposed.
 * - [D12] Opening brings the schema up to date, in one transaction: all new steps, or none. [D13] Several services may
 *   open one database at the same time (where the engine lets more than one in), each with steps of its own under its
 *   `owner`. [D14] A database that is newer than the program is `wrong_state`.
 * - [D15] A database that does not answer is `unavailable`, [D16] a full disk is `disk_full`; [D17] other errors of the
 *   engine pass through as they are (they are faults of this program).
 * - [D18] Disposing waits for the writes under way; doing it twice is harmless. [D19] After it every call is
 *   `unavailable`.
 * - [D20] A listener is told when other openings begin to be heard, and when they are heard again after a while in which
 *   they were not: what they notified before is lost to it.
 * - [D21] What a read has seen is answered when it is on disk, so that no crash undoes what was told.
 */
export interface Database<Schema> {
  readonly engine: 'sqlite' | 'postgres';
  readonly read: Kysely<Schema>;
  write<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T>;
  readonly now: RawBuilder<number>;
  notify(channel: string, text: string): void;
  /**
   * Calls `heard` with what is notified, and where that was, until it is disposed; neither it nor `begins` may throw.
   * `begins` is called when others begin to be heard, and again after they could not be heard for a while.
   */
  listen(channel: string, heard: Heard, begins?: () => void): Disposable;
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

/** What calls get after the database was disposed; `name` as messages name it. */
export function closedError(name: string): PlatformError {
  return new PlatformError('unavailable', `${name} is closed: this service is stopping.`);
}
