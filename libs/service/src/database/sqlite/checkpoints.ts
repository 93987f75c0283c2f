import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** When the log of writes is moved into the file, in pages of 4 KiB. */
export interface LogPages {
  /** As many are copied at a time. */
  readonly copy: number;
  /** So many the log has when it is written from its beginning again, or some more. */
  readonly restart: number;
}

/**
 * Moves the log of writes into the file in small steps between transactions, so that nobody waits long for it.
 *
 * SQLite syncs the file in a checkpoint that has copied all of the log, and in no other, since it may write the log from
 * its beginning after that one alone. So a reader first pins the log where it is; what is copied once there is more of it
 * needs no sync on this thread, and the file is then synced off it. The checkpoint that ends the log finds little left to
 * do. What is safe to do when is SQLite's to know: a sync that is left out here costs time, not rows.
 */
export class Checkpoints {
  readonly #database: DatabaseSync;
  readonly #reader: DatabaseSync;
  readonly #checkpoint: StatementSync;
  readonly #pages: LogPages;
  readonly #syncFile: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #state: 'growing' | 'pinned' | 'flushing' | 'flushed' = 'growing';
  /** How many pages of the log are in the file, or were not to be had when it was tried. */
  #copied = 0;
  #flush: Promise<void> | undefined;

  /**
   * `reader` is a second connection to the file of `database`; `syncFile` syncs that file, and `failed` is told when it
   * could not.
   */
  constructor(options: {
    readonly database: DatabaseSync;
    readonly reader: DatabaseSync;
    readonly pages: LogPages;
    readonly syncFile: () => Promise<void>;
    readonly failed: (error: unknown) => void;
  }) {
    this.#database = options.database;
    this.#reader = options.reader;
    this.#pages = options.pages;
    this.#syncFile = options.syncFile;
    this.#failed = options.failed;
    this.#checkpoint = this.#database.prepare('pragma wal_checkpoint(passive)');
  }

  /**
   * Does the next step, if one is due; call it before each transaction, with how many pages the log has. Returns whether the
   * log begins again with what is written next. Throws SQLite's errors; the step is tried again later.
   */
  advance(pages: number): boolean {
    if (this.#state === 'growing' && pages - this.#copied >= this.#pages.copy) this.#pin();
    else if (this.#state === 'pinned') return this.#copy(pages);
    else if (this.#state === 'flushed') return this.#end(pages);
    return false;
  }

  /** Resolves when the file is not being synced; lets go of the log. */
  async settle(): Promise<void> {
    await this.#flush;
    if (this.#state === 'pinned') this.#unpin();
  }

  #pin(): void {
    if (this.#reader.isTransaction) this.#reader.exec('rollback');
    this.#reader.exec('begin');
    // The transaction begins with what it reads first.
    this.#reader.exec('select 1 from sqlite_schema');
    this.#state = 'pinned';
  }

  #unpin(): void {
    this.#reader.exec('commit');
    this.#state = 'growing';
  }

  #copy(pages: number): boolean {
    try {
      this.#move(pages);
    } finally {
      this.#unpin();
    }
    // Where nothing was written since it was pinned.
    const isAtEnd = this.#isAtEnd(pages);
    this.#state = 'flushing';
    this.#flush = this.#syncFile().then(
      () => {
        this.#state = pages >= this.#pages.restart && !isAtEnd ? 'flushed' : 'growing';
      },
      (error) => this.#failed(error),
    );
    return isAtEnd;
  }

  #end(pages: number): boolean {
    this.#state = 'growing';
    this.#move(pages);
    return this.#isAtEnd(pages);
  }

  /** Whether all of the log is in the file, so that it begins again. */
  #isAtEnd(pages: number): boolean {
    const isAtEnd = this.#copied === pages;
    if (isAtEnd) this.#copied = 0;
    return isAtEnd;
  }

  #move(pages: number): void {
    // Where it fails, it is tried again when there is as much once more.
    this.#copied = pages;
    const { checkpointed } = this.#checkpoint.get() ?? {};
    this.#copied = Number(checkpointed);
  }
}
