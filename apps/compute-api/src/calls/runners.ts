import { type Call, PlatformError, type RunnerReport, type RunnerView } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { type ComputeDatabase, timeOf } from '../db/database.ts';
import { keptOwner, shownOwner, speaksForOthers } from '../owners/owners.ts';
import type { KnownWorker } from './workers.ts';

/** What a worker tells of its runners is written this often at most, in milliseconds. */
const WRITE_EVERY_MS = 1000;

interface Told {
  readonly boot: string;
  /** As JSON. */
  readonly runners: string;
}

/**
 * What workers tell of their runners, written where all compute-apis on the database find it, not more often than once in
 * a second. What a worker told last it may have told another compute-api, so that nothing is compared with what is known here.
 */
export class RunnerBoard implements AsyncDisposable {
  readonly #database: ComputeDatabase;
  readonly #log: Log;
  readonly #due = new Map<string, Told>();
  #writing: Promise<void> | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(database: ComputeDatabase, log: Log) {
    this.#database = database;
    this.#log = log;
  }

  /** Notes what a worker has told of its runners; undefined where they are as before. */
  note(
    { worker, boot }: Pick<KnownWorker, 'worker' | 'boot'>,
    runners: readonly RunnerReport[] | undefined,
  ): void {
    if (runners === undefined) return;
    this.#due.set(worker, { boot, runners: JSON.stringify(runners) });
    this.#plan();
  }

  /** The runners of living workers: those that somebody may see. `leaseMs`: see `listWorkers`. */
  async list(leaseMs: number, principal: Call['principal']): Promise<RunnerView[]> {
    const { read } = this.#database;
    const now = await timeOf(this.#database);
    const rows = await read
      .selectFrom('worker_runners')
      .innerJoin('workers', (join) =>
        join
          .onRef('workers.id', '=', 'worker_runners.worker')
          .onRef('workers.boot', '=', 'worker_runners.boot'),
      )
      .select(['worker_runners.worker', 'worker_runners.at', 'worker_runners.runners', 'workers.name'])
      .where('workers.seen_at', '>', now - leaseMs)
      .orderBy('worker_runners.worker')
      .execute();
    const all = rows.flatMap(({ worker, at, runners, name }) => {
      const since = Math.max(0, Math.floor((now - Number(at)) / 1000));
      // Written by this program, of what fits the contract.
      return (JSON.parse(runners) as RunnerReport[]).map((runner) => ({
        ...runner,
        owner: shownOwner(runner.owner),
        age_seconds: runner.age_seconds + since,
        ...{ worker, worker_name: name },
      }));
    });
    return all.filter(({ owner }) => mayOversee(owner, principal));
  }

  /** Throws `not_found` where nobody has a runner of this key that the caller may oversee. */
  async demand(key: string, leaseMs: number, principal: Call['principal']): Promise<void> {
    const runners = await this.list(leaseMs, principal);
    if (runners.some((runner) => runner.key === key)) return;
    throw new PlatformError('not_found', `There is no runner ${key}, or it is not yours.`);
  }

  /** Writes what is not written yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
  }

  #plan(): void {
    if (this.#timer !== undefined || this.#writing !== undefined) return;
    const pause = Math.max(0, this.#writtenAt + WRITE_EVERY_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#due.size > 0) this.#plan();
      });
    }, pause);
    this.#timer.unref();
  }

  async #write(): Promise<void> {
    const due = [...this.#due];
    this.#due.clear();
    this.#writtenAt = performance.now();
    if (due.length === 0) return;
    try {
      await this.#database.write(async ({ db, now }) => {
        for (const [worker, told] of due)
          await db
            .insertInto('worker_runners')
            .values({ worker, ...told, at: now })
            .onConflict((conflict) => conflict.column('worker').doUpdateSet({ ...told, at: now }))
            .execute();
      });
    } catch (error) {
      this.#log.warn({ error }, 'What workers told of their runners was not written; it is tried again');
      for (const [worker, told] of due) if (!this.#due.has(worker)) this.#due.set(worker, told);
    }
  }
}

function mayOversee(owner: string, principal: Call['principal']): boolean {
  if (principal === undefined || speaksForOthers(principal)) return true;
  return keptOwner(principal.name) === keptOwner(owner);
}
