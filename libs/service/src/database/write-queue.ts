import { AsyncLocalStorage } from 'node:async_hooks';
import type { Kysely, Transaction } from 'kysely';
import type { Log } from '../log/index.ts';
import type { SqliteConnection } from './sqlite/connection.ts';

const MOST_WRITES_IN_BATCH = 256;
/** Batches that may be ahead of the disk: where that is slow, those that come then share a batch. */
const MOST_AHEAD = 4;
const SLOW_BATCH_MS = 5_000;

type Work<Schema> = (transaction: Transaction<Schema>) => Promise<unknown>;

interface Write<Schema> {
  readonly work: Work<Schema>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The writes that wait for the connection. Those that are there when it comes free share one transaction, and so one
 * wait for the disk; each has a savepoint of its own. None is answered before the commit is on disk: what one of them has
 * seen of another, a conflict for instance, is true only then. Meanwhile the next ones are already run.
 */
export class WriteQueue<Schema> {
  readonly #kysely: Kysely<Schema>;
  readonly #connection: SqliteConnection;
  readonly #log: Log;
  #waiting: Write<Schema>[] = [];
  #running: Promise<void> | undefined;
  /** A promise for each batch that was committed, until it is answered. */
  readonly #ahead: Promise<void>[] = [];

  constructor(kysely: Kysely<Schema>, connection: SqliteConnection, log: Log) {
    this.#kysely = kysely;
    this.#connection = connection;
    this.#log = log;
  }

  /** Runs the work in its turn; see `Database.write`. */
  add<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    // The queue hands to resolve nothing but what this very work has returned.
    this.#waiting.push({ work, resolve: (value) => resolve(value as T), reject });
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves when no write waits or runs. */
  async drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    await Promise.all(this.#ahead);
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      // All that is started in this turn of the event loop comes along.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#ahead.length >= MOST_AHEAD) await this.#ahead[0];
      try {
        await this.#kysely.connection().execute((bound) => this.#batch(bound));
      } catch (error) {
        for (const write of this.#waiting.splice(0)) write.reject(error);
      }
    }
    this.#running = undefined;
  }

  async #batch(bound: Kysely<Schema>): Promise<void> {
    const batch = this.#waiting.splice(0, MOST_WRITES_IN_BATCH);
    const slow = setTimeout(() => this.#complain(batch.length), SLOW_BATCH_MS);
    const answers: (() => void)[] = [];
    let synced: Promise<void> | undefined;
    try {
      this.#connection.begin();
      for (const write of batch) {
        answers.push(await perform(bound, write));
        if (this.#connection.isBroken) break;
      }
      synced = this.#connection.commit();
    } catch (error) {
      answers.splice(0, answers.length, ...batch.map((write) => () => write.reject(error)));
    } finally {
      clearTimeout(slow);
    }
    if (synced === undefined) for (const answer of answers) answer();
    else this.#ahead.push(this.#answer(batch, answers, synced));
  }

  /** Answers a batch when it is on disk; where it does not get there, with the reason. */
  async #answer(
    batch: readonly Write<Schema>[],
    answers: readonly (() => void)[],
    synced: Promise<void>,
  ): Promise<void> {
    try {
      await synced;
      for (const answer of answers) answer();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    // They come to disk in their order.
    void this.#ahead.shift();
  }

  #complain(writes: number): void {
    this.#log.warn(
      { writes, ms: SLOW_BATCH_MS },
      'a write holds the database; does it wait for something outside?',
    );
  }
}

/** Runs one write inside its savepoint, and returns how to answer it once the batch is on disk. */
async function perform<Schema>(bound: Kysely<Schema>, write: Write<Schema>): Promise<() => void> {
  const scope = { active: true };
  try {
    const value = await insideWrite.run(scope, () => bound.transaction().execute(write.work));
    return () => write.resolve(value);
  } catch (error) {
    return () => write.reject(error);
  } finally {
    scope.active = false;
  }
}

/** Set while a function given to `write` runs, and in whatever it starts. */
export const insideWrite = new AsyncLocalStorage<{ active: boolean }>();

/** Throws where a function given to `write` calls something that waits for that very write: it would wait for ever. */
export function refuseInsideWrite(what: string): void {
  if (insideWrite.getStore()?.active !== true) return;
  throw new Error(`A function given to write() called ${what}; use the transaction that it was given.`);
}
