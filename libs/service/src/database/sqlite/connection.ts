import { statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { CORRUPT, fromSqliteError, isSqliteError } from './errors.ts';
import { noteLog } from './write-log.ts';

const MOST_STATEMENTS = 500;
const BUSY_TIMEOUT_MS = 1_000;
/** Enough for the indexes of some 100,000 orders: what is not here is read from the file again and again. */
const CACHE_KIB = 32 * 1024;
/** Of 4 KiB: how long the write-ahead log grows before it is moved into the file, which holds all writes up. */
const CHECKPOINT_PAGES = 4096;

/**
 * The one connection to an SQLite file, in the shape that Kysely's dialect takes. Statements are prepared once and
 * kept. Errors leave it in the platform's terms.
 */
export class SqliteConnection implements SqliteDatabase {
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, SqliteStatement>();
  /** Why the transaction that {@link begin} began is gone, where SQLite has rolled it back by itself. */
  #broken: unknown;
  #state: 'idle' | 'writing' = 'idle';
  /** Why the file is not used any more. */
  #damage: unknown;
  readonly #hadLog: boolean;
  #isLogNoted: boolean;

  /** Opens the file and takes it for this process alone; `unavailable` where another one holds it. */
  constructor(file: string) {
    this.#file = file;
    this.#hadLog = (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
    this.#isLogNoted = file === ':memory:';
    this.#database = this.#translate(() => new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS }));
    try {
      this.#translate(() => this.#configure());
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#database.isOpen;
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
    this.prepare('begin immediate').run([]);
    this.#state = 'writing';
  }

  /** Commits, so that what was written is on disk; where that fails, nothing of it remains and the error is thrown. */
  commit(): void {
    try {
      this.prepare('commit').run([]);
      this.#state = 'idle';
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /** Gives the transaction up, where there still is one. */
  rollback(): void {
    this.#state = 'idle';
    this.#broken = undefined;
    if (this.#database.isTransaction) this.#translate(() => this.#database.exec('rollback'));
  }

  /** Throws `unavailable` once a part of the file was found damaged: what were written then might be lost. */
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
  close(): void {
    if (this.#database.isOpen) this.#translate(() => this.#database.close());
  }

  #configure(): void {
    const database = this.#database;
    // Exclusive before anything is read: then there is no shared memory, and no other process gets in between.
    database.exec('pragma locking_mode = exclusive');
    database.exec('pragma journal_mode = wal');
    database.exec('pragma synchronous = full');
    database.exec('pragma foreign_keys = on');
    // What savepoints may have to take back is kept in memory: a file for it costs more than the writes themselves.
    database.exec('pragma temp_store = memory');
    database.exec(`pragma cache_size = -${CACHE_KIB}`);
    database.exec(`pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    // The lock is taken by the first write, not by the pragma.
    database.exec('begin immediate; commit');
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
      if (isSqliteError(error, CORRUPT)) this.#damage ??= translated;
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
