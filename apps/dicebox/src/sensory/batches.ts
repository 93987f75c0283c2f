import { randomInt, randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { BatchRow, DiceboxDatabase, PictureSetRow, Schema } from '../db/schema.ts';
import { type PictureOfSample, pictureOf } from './samples.ts';
import { nameOf } from './sets.ts';

/** How long a batch is kept that nobody uses, in milliseconds: as in the original. */
export const BATCH_MS = 30 * 60_000;

/** When a sample that another process gives is thought lost with it, in milliseconds; far longer than an answer takes. */
const LOST_MS = 60_000;

/** That a batch is used is not written down more often than so, where nothing else is. */
const NOTED_MS = 60_000;

/** What batches are opened with. */
export interface BatchOptions {
  readonly expireMs?: number | undefined;
  readonly lostMs?: number | undefined;
}

/** What is ordered. */
export interface BatchSpec {
  readonly size: number;
  readonly noise: number;
  /** Drawn by chance where absent. */
  readonly seed?: number | undefined;
}

/** A sample that was given to who polled it. */
export interface Given {
  readonly batch: BatchRow;
  readonly sample: number;
  /** What it is made of. */
  readonly picture: PictureOfSample;
}

/**
 * Batches of samples, each a row: what was polled is a number in it. A sample that is being given is written down before it
 * goes out, and struck out when it went; so one that was lost on its way, or with this process, is given again.
 */
export class Batches {
  readonly #database: DiceboxDatabase;
  readonly #expireMs: number;
  readonly #lostMs: number;
  readonly #boot = randomUUID();
  /** What this process gives: however long that takes, it is not lost. */
  readonly #giving = new Set<string>();

  private constructor(database: DiceboxDatabase, { expireMs = BATCH_MS, lostMs = LOST_MS }: BatchOptions) {
    this.#database = database;
    this.#expireMs = expireMs;
    this.#lostMs = lostMs;
  }

  /** Opens them. What the process before was giving, where there can be no other, is given again at once. */
  static async open(database: DiceboxDatabase, options: BatchOptions = {}): Promise<Batches> {
    if (database.engine === 'sqlite')
      await database.write(
        async (db) => void (await db.updateTable('open_samples').set({ boot: '' }).execute()),
      );
    return new Batches(database, options);
  }

  /** Orders a batch of a set as it is now. Throws `invalid_request` where that has fewer pictures. */
  async order(owner: string, set: PictureSetRow, spec: BatchSpec): Promise<BatchRow> {
    demandPictures(set, spec.size);
    return await this.#database.write(
      async (db) =>
        await db
          .insertInto('batches')
          .values({
            id: randomUUID(),
            owner,
            set_id: set.id,
            seed: spec.seed ?? randomSeed(),
            pictures: set.pictures,
            size: spec.size,
            noise: spec.noise,
            created_at: this.#now,
            used_at: this.#now,
          })
          .returningAll()
          .executeTakeFirstOrThrow(),
    );
  }

  /** A batch, which is used by that. Throws `not_found` for one that is forgotten, or another's. */
  async use(id: string, owner: string): Promise<BatchRow> {
    const known = await this.#database.read
      .selectFrom('batches')
      .selectAll()
      .where('id', '=', id)
      .where('owner', '=', owner)
      .where('used_at', '>', this.#ago(Math.min(this.#expireMs, NOTED_MS)))
      .executeTakeFirst();
    const row = known ?? (await this.#database.write(async (db) => await this.#touch(db, id, owner)));
    if (row !== undefined) return row;
    const message = `There is no batch ${id}, or it was not used for ${Math.round(this.#expireMs / 60_000)} minutes.`;
    throw new PlatformError('not_found', message);
  }

  /**
   * The next sample of a batch, and until {@link settle} nobody else gets it. Undefined where none is left, where those that are
   * left are on their way, and where there is no such batch.
   */
  async poll(id: string, owner: string): Promise<Given | undefined> {
    const given = await this.#database.write(async (db) => {
      const batch = await this.#touch(db, id, owner);
      if (batch === undefined) return undefined;
      const sample = (await this.#lost(db, id)) ?? (await this.#next(db, batch));
      if (sample === undefined) return undefined;
      // Here, so that nobody waits for the disk once more.
      return { batch, sample, picture: await pictureOf(db, batch.set_id, batch, sample) };
    });
    if (given !== undefined) this.#giving.add(keyOf(id, given.sample));
    return given;
  }

  /** Says of a sample whether it went out whole; else it is given again. */
  async settle({ batch, sample }: Given, outcome: 'given' | 'lost'): Promise<void> {
    this.#giving.delete(keyOf(batch.id, sample));
    await this.#database.write(async (db) => {
      const mine = { batch_id: batch.id, sample, boot: this.#boot };
      if (outcome === 'given')
        await db
          .deleteFrom('open_samples')
          .where((row) => row.and(mine))
          .execute();
      else
        await db
          .updateTable('open_samples')
          .set({ boot: '' })
          .where((row) => row.and(mine))
          .execute();
    });
  }

  /** Forgets a batch. Throws `not_found`. */
  async remove(id: string, owner: string): Promise<void> {
    await this.use(id, owner);
    await this.#database.write(
      async (db) => void (await db.deleteFrom('batches').where('id', '=', id).execute()),
    );
  }

  /** Forgets the batches that nobody has used for long. */
  async sweep(): Promise<void> {
    await this.#database.write(
      async (db) =>
        void (await db.deleteFrom('batches').where('used_at', '<=', this.#ago(this.#expireMs)).execute()),
    );
  }

  /** When a batch is forgotten, if nobody uses it until then: in milliseconds since 1970. */
  expiryOf({ used_at }: BatchRow): number {
    return used_at + this.#expireMs;
  }

  async #touch(db: Transaction<Schema>, id: string, owner: string): Promise<BatchRow | undefined> {
    return await db
      .updateTable('batches')
      .set({ used_at: this.#now })
      .where('id', '=', id)
      .where('owner', '=', owner)
      .where('used_at', '>', this.#ago(this.#expireMs))
      .returningAll()
      .executeTakeFirst();
  }

  async #next(db: Transaction<Schema>, { id, next, size }: BatchRow): Promise<number | undefined> {
    if (next >= size) return undefined;
    await db
      .updateTable('batches')
      .set({ next: next + 1 })
      .where('id', '=', id)
      .execute();
    await db
      .insertInto('open_samples')
      .values({ batch_id: id, sample: next, boot: this.#boot, given_at: this.#now })
      .execute();
    return next;
  }

  async #lost(db: Transaction<Schema>, id: string): Promise<number | undefined> {
    const rows = await db
      .selectFrom('open_samples')
      .select('sample')
      .where('batch_id', '=', id)
      .where((row) => row.or([row('boot', '=', ''), row('given_at', '<=', this.#ago(this.#lostMs))]))
      .orderBy('sample')
      .limit(this.#giving.size + 1)
      .execute();
    const found = rows.find(({ sample }) => !this.#giving.has(keyOf(id, sample)));
    if (found === undefined) return undefined;
    await db
      .updateTable('open_samples')
      .set({ boot: this.#boot, given_at: this.#now })
      .where('batch_id', '=', id)
      .where('sample', '=', found.sample)
      .execute();
    return found.sample;
  }

  get #now(): RawBuilder<number> {
    return this.#database.now;
  }

  #ago(ms: number): RawBuilder<number> {
    return sql<number>`${this.#now} - ${ms}`;
  }
}

function keyOf(batch: string, sample: number): string {
  return `${batch} ${sample}`;
}

/** Throws `invalid_request` where a set has fewer pictures than are asked for, with the number that it has. */
export function demandPictures(set: PictureSetRow, size: number): void {
  if (size <= set.pictures) return;
  const message = `The set ${nameOf(set)} has ${set.pictures} ${set.pictures === 1 ? 'picture' : 'pictures'}, and ${size} were asked for: ask for ${set.pictures} at most.`;
  throw new PlatformError('invalid_request', message, { details: { limit: set.pictures } });
}

/** A seed for who gives none. */
export function randomSeed(): number {
  return randomInt(2 ** 47);
}
