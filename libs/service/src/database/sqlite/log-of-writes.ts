import { closeSync, fdatasync, openSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { promisify } from 'node:util';
import type { PlatformError } from '@morpheo/common';
import { Checkpoints, type LogPages } from './checkpoints.ts';
import { SyncedLog, type SyncFile, syncError } from './synced-log.ts';

/** How the log of writes is brought to disk and into the file. Tests watch the syncs, and make the log small. */
export interface LogOptions {
  readonly syncFile?: SyncFile;
  readonly logPages?: LogPages;
}

/** A checkpoint holds others up for some milliseconds: it comes once in hundreds of commits, and so beyond their p99. */
const LOG_PAGES: LogPages = { copy: 4096, restart: 16_384 };

/** So that a write does not wait for the sync of one before it to end first, and leaves some threads of Node's pool to others. */
const SYNCS_AT_ONCE = 2;

/** The log of writes (`-wal`) of an open file: what is committed goes to disk, and from there into the file. */
export class LogOfWrites {
  readonly #log: SyncedLog;
  readonly #checkpoints: Checkpoints;
  readonly #reader: DatabaseSync;
  readonly #count: StatementSync;
  readonly #descriptors: readonly number[];
  #pages = 0;
  /** How many it had when all of it was in the file, until it is known to have begun again. */
  #ended: number | undefined;

  /**
   * `database` and `reader` are two connections to `file`, which has a log. `failed` is called with what everybody is told
   * from then on, when the disk does not take what was written.
   */
  constructor(
    file: string,
    { database, reader }: { readonly database: DatabaseSync; readonly reader: DatabaseSync },
    { syncFile = toDisk, logPages = LOG_PAGES }: LogOptions,
    failed: (error: PlatformError) => void,
  ) {
    // Has the log opened before any sync fails: see close().
    reader.exec('select 1 from sqlite_schema');
    const logFile = `${file}-wal`;
    const main = openSync(file, 'r');
    const logs = Array.from({ length: SYNCS_AT_ONCE }, () => openSync(logFile, 'r'));
    this.#descriptors = [main, ...logs];
    this.#reader = reader;
    const ways = logs.map((log) => () => syncFile(log, logFile));
    this.#log = new SyncedLog(ways, file, failed);
    this.#checkpoints = new Checkpoints({
      ...{ database, reader, pages: logPages },
      syncFile: () => syncFile(main, file),
      failed: (error) => failed(syncError(file, error)),
    });
    this.#count = database.prepare('pragma wal_checkpoint(noop)');
  }

  /** Resolves when all that was committed is on disk; undefined where it is there. */
  get pending(): Promise<void> | undefined {
    return this.#log.pending;
  }

  /** Resolves when what was committed up to now is on disk. */
  async sync(): Promise<void> {
    await this.#log.sync();
  }

  /** To be called after each commit: resolves when it is on disk, with all that it saw; undefined where it is there. */
  committed(): Promise<void> | undefined {
    const { log } = this.#count.get() ?? {};
    const pages = Number(log);
    // One that wrote nothing is on disk when what it saw is. A log that began again may come to as many pages as it had.
    if (pages !== this.#pages) void this.#log.sync();
    if (pages !== this.#ended) {
      this.#pages = pages;
      this.#ended = undefined;
    }
    return this.#log.pending;
  }

  /** Moves some of the log into the file, where it is time; between transactions alone. Throws SQLite's errors. */
  advance(): void {
    const isAtEnd = this.#checkpoints.advance(this.#pages);
    // Whatever is written next begins the log again.
    if (!isAtEnd) return;
    this.#ended = this.#pages;
    this.#pages = 0;
  }

  /** Resolves when nothing is being synced any more, and the log can be closed. */
  async settle(): Promise<void> {
    await this.#log.pending?.catch(() => undefined);
    await this.#checkpoints.settle();
  }

  /**
   * Closes what is open beside the database, after that. The second connection, which is the last, moves the log into the
   * file then: where a sync has failed, the system tells it so, once, as it tells everybody who had the file open. And the
   * system gives a process's locks on a file up when the process closes it anywhere.
   */
  close(): void {
    this.#reader.close();
    for (const descriptor of this.#descriptors) closeSync(descriptor);
  }
}

const syncData = promisify(fdatasync);
const toDisk: SyncFile = async (descriptor) => await syncData(descriptor);
