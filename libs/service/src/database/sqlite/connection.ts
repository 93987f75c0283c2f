import { statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import type { Log } from '../../log/index.ts';
import { fromSqliteError, isDamage } from './errors.ts';
import { LogOfWrites, type LogOptions } from './log-of-writes.ts';
import { noteLog } from './write-log.ts';

const MOST_STATEMENTS = 500;
const BUSY_TIMEOUT_MS = 1_000;
/** Enough for the indexes of some 100,000 orders: what is not here is read from the file again and again. */
const CACHE_KIB = 32 * 1024;

/** How a connection is opened. */
export interface ConnectionOptions extends LogOptions {
  /** The file; or `:memory:`. */
  readonly file: string;
  /** Let go of when the file is closed. */
  readonly hold?: Disposable;
  readonly log: Log;
}

/**
 * The one connection to an SQLite file, in the shape that Kysely's dialect takes. Statements are prepared once and
 * kept. Errors leave it in the platform's terms.
 */
export class SqliteConnection implements SqliteDatabase {
  readonly #file: string;
  readonly #hold: Disposable | undefined;
  readonly #database: DatabaseSync;
  readonly #writes: LogOfWrites | undefined;
  readonly #log: Log;
  readonly #statements = new Map<string, SqliteStatement>();
  /** Why the transaction that {@link begin} began is gone, where SQLite has rolled it back by itself. */
  #broken: unknown;
  #state: 'idle' | 'writing' | 'closed' = 'idle';
  /** Why the file is not used any more. */
  #damage: unknown;
  readonly #hadLog: boolean;
  #isLogNoted: boolean;

  /** Opens the file and takes it for this process alone; `unavailable` where another one holds it. */
  constructor({ file, hold, log, ...options }: ConnectionOptions) {
    this.#file = file;
    this.#hold = hold;
    this.#log = log;
    const isFile = file !== ':memory:';
    this.#hadLog = (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
    this.#isLogNoted = !isFile;
    this.#database = this.#translate(() => openFile(file));
    try {
      this.#translate(() => configure(this.#database));
      this.#writes = isFile ? this.#translate(() => this.#openLog(options)) : undefined;
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#state !== 'closed';
  }

  /**
   * Resolves when all that was committed is on disk; undefined where it is there. What a read has seen is told no sooner.
   * It rejects with `unavailable` where the disk did not take it: then the file is not used any more.
   */
  get unsynced(): Promise<void> | undefined {
    return this.#writes?.pending;
  }

  /** Whether SQLite has rolled the transaction back by itself: what it did is gone, and nothing more may be done. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Begins a transaction that is the only writer from the start. */
  begin(): void {
    this.#broken = undefined;
    this.refuseDamaged();
    // Before anything else is written, and not when it is opened: that goes well on a full disk too.
    if (!this.#isLogNoted) this.#translate(() => noteLog(this.#database, this.#file, this.#hadLog));
    this.#isLogNoted = true;
    this.#advanceLog();
    this.prepare('begin immediate').run([]);
    this.#state = 'writing';
  }

  /**
   * Commits; where that fails, nothing of it remains and the error is thrown. Returns what resolves when it is on disk, see
   * {@link unsynced}: nobody may be told of it before. Others may write meanwhile.
   */
  commit(): Promise<void> | undefined {
    try {
      this.prepare('commit').run([]);
      this.#state = 'idle';
    } catch (error) {
      this.rollback();
      throw error;
    }
    return this.#writes?.committed();
  }

  /** Resolves when all that was written is on disk, also what no {@link commit} has committed. */
  async sync(): Promise<void> {
    await this.#writes?.sync();
  }

  /** Gives the transaction up, where there still is one. */
  rollback(): void {
    this.#state = 'idle';
    this.#broken = undefined;
    if (this.#database.isTransaction) this.#translate(() => this.#database.exec('rollback'));
  }

  /** Throws `unavailable` once the file was found damaged, or was not brought to disk: what is written then might be lost. */
  refuseDamaged(): void {
    if (this.#damage !== undefined) throw this.#damage;
  }

  prepare(sql: string): SqliteStatement {
    this.refuseDamaged();
    if (this.#broken !== undefined) throw this.#broken;
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#wrap(
      sql,
      this.#translate(() => this.#database.prepare(sql)),
    );
    if (this.#statements.size >= MOST_STATEMENTS) this.#statements.clear();
    this.#statements.set(sql, statement);
    return statement;
  }

  /** Closes the file; doing it twice is harmless. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    await this.#writes?.settle();
    this.#translate(() => this.#database.close());
    this.#writes?.close();
    this.#hold?.[Symbol.dispose]();
  }

  #openLog(options: LogOptions): LogOfWrites {
    const reader = openFile(this.#file);
    try {
      return new LogOfWrites(this.#file, { database: this.#database, reader }, options, (error) => {
        this.#damage ??= error;
      });
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  /** Where the log cannot be moved into the file, it grows: that is tried again later. */
  #advanceLog(): void {
    try {
      this.#translate(() => this.#writes?.advance());
    } catch (error) {
      this.#log.warn({ error }, 'the log of writes could not be moved into the database');
    }
  }

  #wrap(sql: string, statement: StatementSync): SqliteStatement {
    return {
      reader: statement.columns().length > 0,
      // Rows of node:sqlite have no prototype; those of other engines do, and a caller should not have to know.
      all: (values) => this.#translate(() => statement.all(...bound(values)).map((row) => ({ ...row }))),
      run: (values) => this.#translate(() => statement.run(...bound(values))),
      // Not the kept statement: it may be used again while this one is still being read.
      iterate: (values) => this.#iterate(sql, values),
    };
  }

  *#iterate(sql: string, values: readonly unknown[]): IterableIterator<unknown> {
    const rows = this.#translate(() => this.#database.prepare(sql).iterate(...bound(values)));
    for (;;) {
      const next = this.#translate(() => rows.next());
      if (next.done === true) return;
      yield { ...next.value };
    }
  }

  #translate<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const translated = fromSqliteError(error, this.#file);
      if (isDamage(error)) this.#damage ??= translated;
      // Some errors (a full disk, a failing one) make SQLite roll the whole transaction back. Statements that came
      // after it would then be committed one by one, so none may come.
      if (this.#state === 'writing' && !this.#database.isTransaction) this.#broken = translated;
      throw translated;
    }
  }
}

/** The values as node:sqlite takes them: null, numbers, texts and bytes; it throws a TypeError at any other. */
function bound(values: readonly unknown[]): SQLInputValue[] {
  return values as SQLInputValue[];
}

/** Opens a file so that SQLite keeps every other process out of it, and its index of the log in memory. */
function openFile(file: string): DatabaseSync {
  const where = file === ':memory:' ? file : new URL(`${pathToFileURL(file).href}?vfs=unix-excl`);
  return new DatabaseSync(where, { timeout: BUSY_TIMEOUT_MS });
}

function configure(database: DatabaseSync): void {
  database.exec('pragma journal_mode = wal');
  // The log is synced after each commit, off this thread; SQLite syncs it before it is moved into the file.
  database.exec('pragma synchronous = normal');
  database.exec('pragma wal_autocheckpoint = 0');
  database.exec('pragma foreign_keys = on');
  // What savepoints may have to take back is kept in memory: a file for it costs more than the writes themselves.
  database.exec('pragma temp_store = memory');
  database.exec(`pragma cache_size = -${CACHE_KIB}`);
  // The lock is taken by the first write, not by the pragma.
  database.exec('begin immediate; commit');
}
