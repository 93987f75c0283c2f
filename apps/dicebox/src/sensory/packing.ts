import { isPlatformError, PICTURE_BOUNDS } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { sql, type Transaction } from 'kysely';
import type { Peers } from '../clients.ts';
import type { DiceboxDatabase, PictureSetRow, Schema, ShardRow } from '../db/schema.ts';
import { archiveOf, pictureBytes, shardId } from './shard.ts';

/** What packing works with. */
export interface PackingParts {
  readonly database: DiceboxDatabase;
  readonly storage: Pick<Peers['storage'], 'upload' | 'remove'>;
  readonly log: Log;
  /** How many pictures a shard has at most; 5,000 where absent. */
  readonly shardPictures?: number | undefined;
}

type Shard = Pick<ShardRow, 'first' | 'pictures' | 'resource' | 'full'>;

interface Plan {
  readonly pictures: number;
  readonly isFull: boolean;
}

/** How long a shard stays that was replaced, in milliseconds: a training that took it may be about to be ordered. */
const REPLACED_MS = 24 * 3_600_000;
/** How many of them are removed at a time. */
const SWEPT = 100;

/** The bytes of pictures in one shard, and of their pixels, when it is full before it has so many pictures. */
const FULL_BYTES = 256 * 1024 ** 2;

/**
 * Moves pictures out of the database into shards on storage, once they fill one. Those of a snapshot that fill none go into a
 * small shard, and stay here as well: the next snapshot makes a larger one in its place, so that there is one small shard
 * at the most, however often pictures come. Which pictures become a shard is written down before it is made:
 * whoever goes on after a kill makes the same one, under the same id, and storage keeps one of it.
 */
export class Packing {
  readonly #parts: PackingParts;
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: PackingParts) {
    this.#parts = parts;
  }

  /** Packs, of all sets, what fills shards, and what was begun. */
  async full(signal: AbortSignal): Promise<void> {
    const { database, shardPictures = PICTURE_BOUNDS.shard } = this.#parts;
    const begun = database.read.selectFrom('picture_shards').select('set_id').where('stored', '=', 0);
    const sets = await database.read
      .selectFrom('picture_sets')
      .selectAll()
      .where((row) =>
        row.or([
          row(row('pictures', '-', row.ref('packed')), '>=', shardPictures),
          row('loose_bytes', '>=', FULL_BYTES),
          row('id', 'in', begun),
        ]),
      )
      .execute();
    for (const set of sets) {
      if (signal.aborted) return;
      await this.#inTurn(set, 0);
    }
  }

  /** Packs at least the first so many pictures of a set; the last shard may be small. */
  async upTo(set: PictureSetRow, pictures: number): Promise<void> {
    await this.#inTurn(set, pictures);
  }

  /** One after the other for each set: two would make the same shard twice. */
  async #inTurn(set: PictureSetRow, pictures: number): Promise<void> {
    const before = this.#running.get(set.id) ?? Promise.resolve();
    const packed = before.catch(() => undefined).then(async () => await this.#pack(set, pictures));
    this.#running.set(set.id, packed);
    try {
      await packed;
    } finally {
      if (this.#running.get(set.id) === packed) this.#running.delete(set.id);
    }
  }

  async #pack(set: PictureSetRow, pictures: number): Promise<void> {
    for (;;) {
      const shard = await this.#parts.database.write(async (db) => await this.#next(db, set, pictures));
      if (shard === undefined) return;
      await this.#store(set, shard);
    }
  }

  /** The shard to make next: one that was begun, or else a new one; undefined where there is none. */
  async #next(db: Transaction<Schema>, set: PictureSetRow, wanted: number): Promise<Shard | undefined> {
    // Holds the set against others who plan.
    const { packed: first } = await db
      .updateTable('picture_sets')
      .set((row) => ({ packed: row('packed', '+', 0) }))
      .where('id', '=', set.id)
      .returning('packed')
      .executeTakeFirstOrThrow();
    const shards = await db
      .selectFrom('picture_shards')
      .selectAll()
      .where('set_id', '=', set.id)
      .where('first', '=', first)
      .orderBy('pictures')
      .execute();
    const begun = shards.find(({ stored }) => stored === 0);
    if (begun !== undefined) return begun;
    const plan = await this.#plan(db, set, first);
    const covered = shards.at(-1)?.pictures ?? 0;
    const isDue = plan.isFull || first + covered < wanted;
    if (!isDue || plan.pictures <= covered) return undefined;
    const { pictures } = plan;
    const shard = { first, pictures, resource: shardId(set.id, first, pictures), full: Number(plan.isFull) };
    await db
      .insertInto('picture_shards')
      .values({ set_id: set.id, ...shard, replaced_at: null })
      .execute();
    return shard;
  }

  /** What a shard that begins with this picture would have. */
  async #plan(db: Transaction<Schema>, set: PictureSetRow, first: number): Promise<Plan> {
    const { shardPictures: most = PICTURE_BOUNDS.shard } = this.#parts;
    const rows = await db
      .selectFrom('pictures')
      .select('size')
      .where('set_id', '=', set.id)
      .where('number', '>=', first)
      .orderBy('number')
      .limit(most)
      .execute();
    let [bytes, pictures] = [0, 0];
    for (const { size } of rows) {
      if (pictures > 0 && bytes >= FULL_BYTES) return { pictures, isFull: true };
      bytes += size + pictureBytes(set);
      pictures += 1;
    }
    return { pictures, isFull: pictures === most || bytes >= FULL_BYTES };
  }

  async #store(set: PictureSetRow, shard: Shard): Promise<void> {
    const { database, storage, log } = this.#parts;
    const { first, pictures, resource } = shard;
    const { body, bytes, pixelsAt } = await archiveOf(database, set, shard);
    try {
      await storage.upload({
        params: { type: 'data' },
        query: { uuid: resource, visibility: 'private', purpose: 'open' },
        body: { body, contentType: 'application/octet-stream', contentLength: bytes },
      });
    } catch (error) {
      // Somebody else has made it: one who could not write that down any more, or one who did, and took its bytes away.
      if (!isPlatformError(error, 'conflict') && !(await this.#isStored(resource))) throw error;
    }
    await database.write(async (db) => await this.#note(db, set, shard, pixelsAt));
    log.info({ set: set.id, first, pictures, resource, bytes }, 'pictures were packed into a shard');
  }

  /** Storage has a shard: those with fewer of its pictures are replaced, and the database lets go of those of a full one. */
  async #note(db: Transaction<Schema>, set: PictureSetRow, shard: Shard, pixelsAt: number): Promise<void> {
    const { first, pictures, resource, full } = shard;
    await db
      .updateTable('picture_shards')
      .set({ stored: 1, pixels_at: pixelsAt })
      .where('resource', '=', resource)
      .execute();
    await db
      .updateTable('picture_shards')
      .set({ replaced_at: this.#parts.database.now })
      .where('set_id', '=', set.id)
      .where('first', '=', first)
      .where('pictures', '<', pictures)
      .where('replaced_at', 'is', null)
      .execute();
    if (full === 0) return;
    const { size } = await db
      .selectFrom('pictures')
      .select((row) => row.fn.sum<number | null>('size').as('size'))
      .where('set_id', '=', set.id)
      .where('number', '>=', first)
      .where('number', '<', first + pictures)
      .executeTakeFirstOrThrow();
    const bytes = Number(size) + pictures * pictureBytes(set);
    const { numUpdatedRows } = await db
      .updateTable('picture_sets')
      .set((row) => ({ packed: first + pictures, loose_bytes: row('loose_bytes', '-', bytes) }))
      .where('id', '=', set.id)
      .where('packed', '=', first)
      .executeTakeFirst();
    // Somebody else has noted it.
    if (numUpdatedRows === 0n) return;
    await db
      .updateTable('pictures')
      .set({ bytes: null, pixels: null })
      .where('set_id', '=', set.id)
      .where('number', '>=', first)
      .where('number', '<', first + pictures)
      .execute();
  }

  /** Removes, from storage too, what was replaced long ago and nothing names any more. */
  async sweep(signal: AbortSignal, afterMs = REPLACED_MS): Promise<void> {
    const { database, storage } = this.#parts;
    const gone = await database.read
      .selectFrom('picture_shards')
      .select('resource')
      .where('replaced_at', '<=', sql<number>`${database.now} - ${afterMs}`)
      .limit(SWEPT)
      .execute();
    for (const { resource } of gone) {
      if (signal.aborted) return;
      try {
        await storage.remove({ params: { type: 'data', uuid: resource } }, { signal });
      } catch (error) {
        if (isPlatformError(error, 'in_use')) continue;
        if (!isPlatformError(error, 'not_found')) throw error;
      }
      await database.write(
        async (db) => void (await db.deleteFrom('picture_shards').where('resource', '=', resource).execute()),
      );
    }
  }

  async #isStored(resource: string): Promise<boolean> {
    const row = await this.#parts.database.read
      .selectFrom('picture_shards')
      .select('stored')
      .where('resource', '=', resource)
      .executeTakeFirst();
    return row?.stored === 1;
  }
}
