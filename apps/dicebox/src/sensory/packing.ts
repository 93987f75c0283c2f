import { isPlatformError, PICTURE_BOUNDS } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Transaction } from 'kysely';
import type { Peers } from '../clients.ts';
import type { DiceboxDatabase, PictureSetRow, Schema, ShardRow } from '../db/schema.ts';
import { archiveOf, pictureBytes, shardId } from './shard.ts';

/** What packing works with. */
export interface PackingParts {
  readonly database: DiceboxDatabase;
  readonly storage: Pick<Peers['storage'], 'upload'>;
  readonly log: Log;
  /** How many pictures a shard has at most; 5,000 where absent. */
  readonly shardPictures?: number | undefined;
}

type Shard = Pick<ShardRow, 'first' | 'pictures' | 'resource'>;

interface Plan {
  readonly pictures: number;
  readonly bytes: number;
  readonly isFull: boolean;
}

/** The bytes of pictures in one shard, and of their pixels, when it is full before it has so many pictures. */
const FULL_BYTES = 256 * 1024 ** 2;

/**
 * Moves pictures out of the database into shards on storage. Which pictures become a shard is written down before it is made:
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
    const begun = await db
      .selectFrom('picture_shards')
      .selectAll()
      .where('set_id', '=', set.id)
      .where('stored', '=', 0)
      .orderBy('first')
      .limit(1)
      .executeTakeFirst();
    if (begun !== undefined) return begun;
    // Holds the set against others who plan.
    const { packed: first } = await db
      .updateTable('picture_sets')
      .set((row) => ({ packed: row('packed', '+', 0) }))
      .where('id', '=', set.id)
      .returning('packed')
      .executeTakeFirstOrThrow();
    const plan = await this.#plan(db, set, first);
    const isDue = plan.isFull || first < wanted;
    if (!isDue || plan.pictures === 0) return undefined;
    const shard = { first, pictures: plan.pictures, resource: shardId(set.id, first, plan.pictures) };
    await db
      .insertInto('picture_shards')
      .values({ set_id: set.id, ...shard })
      .execute();
    await db
      .updateTable('picture_sets')
      .set((row) => ({
        packed: first + plan.pictures,
        loose_bytes: row('loose_bytes', '-', plan.bytes),
      }))
      .where('id', '=', set.id)
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
      if (pictures > 0 && bytes >= FULL_BYTES) return { pictures, bytes, isFull: true };
      bytes += size + pictureBytes(set);
      pictures += 1;
    }
    return { pictures, bytes, isFull: pictures === most || bytes >= FULL_BYTES };
  }

  async #store(set: PictureSetRow, { first, pictures, resource }: Shard): Promise<void> {
    const { database, storage, log } = this.#parts;
    const { body, bytes, pixelsAt } = await archiveOf(database, set, { first, pictures });
    try {
      await storage.upload({
        params: { type: 'data' },
        query: { uuid: resource, visibility: 'private', purpose: 'open' },
        body: { body, contentType: 'application/octet-stream', contentLength: bytes },
      });
    } catch (error) {
      // Somebody else has made it: one who could not write that down any more, or one who did, and took its bytes away.
      if (!isPlatformError(error, 'conflict') && !(await this.#isStored(set.id, first))) throw error;
    }
    await database.write(async (db) => {
      await db
        .updateTable('picture_shards')
        .set({ stored: 1, pixels_at: pixelsAt })
        .where('set_id', '=', set.id)
        .where('first', '=', first)
        .execute();
      await db
        .updateTable('pictures')
        .set({ bytes: null, pixels: null })
        .where('set_id', '=', set.id)
        .where('number', '>=', first)
        .where('number', '<', first + pictures)
        .execute();
    });
    log.info({ set: set.id, first, pictures, resource, bytes }, 'pictures were packed into a shard');
  }

  async #isStored(set: string, first: number): Promise<boolean> {
    const row = await this.#parts.database.read
      .selectFrom('picture_shards')
      .select('stored')
      .where('set_id', '=', set)
      .where('first', '=', first)
      .executeTakeFirst();
    return row?.stored === 1;
  }
}
