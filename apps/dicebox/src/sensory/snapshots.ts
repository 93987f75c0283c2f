import { PlatformError } from '@morpheo/common';
import type { Kysely } from 'kysely';
import type { DiceboxDatabase, PictureSetRow, Schema, ShardRow } from '../db/schema.ts';
import type { Packing } from './packing.ts';
import { categoriesOf, nameOf } from './sets.ts';

/** The pictures that a set had at a moment. None of them changes, or goes, any more. */
export interface Snapshot {
  readonly set: PictureSetRow;
  /** The first so many pictures of the set. */
  readonly pictures: number;
  /** The names of their categories; the index of one is its place. */
  readonly categories: readonly string[];
}

/** Some pictures as one data set of storage; `shardIndex` of the common types says what is in it. */
export interface SnapshotShard {
  /** The id of the data set; it is this service's own. */
  readonly resource: string;
  /** The number of its first picture in the set. */
  readonly first: number;
  readonly pictures: number;
}

/** Gives what is trained on. */
export interface Snapshots {
  /**
   * All pictures that a set has now; those that were loose are in shards when it resolves. Throws `invalid_request` where the
   * set has no pictures, or those of one category alone: a network tells at least two apart.
   */
  take(set: PictureSetRow): Promise<Snapshot>;
  /** The shards of a snapshot, in the order of their pictures; together they hold these, and no others. */
  shards(snapshot: Pick<Snapshot, 'set' | 'pictures'>): Promise<readonly SnapshotShard[]>;
}

/** {@link Snapshots} of the pictures in a database. */
export class PictureSnapshots implements Snapshots {
  readonly #database: DiceboxDatabase;
  readonly #packing: Packing;

  constructor(database: DiceboxDatabase, packing: Packing) {
    this.#database = database;
    this.#packing = packing;
  }

  /** See {@link Snapshots.take}. */
  async take(set: PictureSetRow): Promise<Snapshot> {
    const snapshot = await this.takeAny(set);
    const [only, ...others] = snapshot.categories;
    if (only === undefined)
      throw new PlatformError(
        'invalid_request',
        `The set ${nameOf(set)} has no pictures yet: store some first.`,
      );
    if (others.length > 0) return snapshot;
    const message = `The set ${nameOf(set)} has one category alone, ${JSON.stringify(only)}: store pictures of another, since a network tells at least two apart.`;
    throw new PlatformError('invalid_request', message);
  }

  /** As {@link take}, whatever the set has. */
  async takeAny(set: PictureSetRow): Promise<Snapshot> {
    const now = await this.#database.read
      .selectFrom('picture_sets')
      .select('pictures')
      .where('id', '=', set.id)
      .executeTakeFirstOrThrow();
    await this.#packing.upTo(set, now.pictures);
    const pictures = (await shardsOf(this.#database.read, set.id)).reduce(
      (most, shard) => Math.max(most, shard.first + shard.pictures),
      0,
    );
    const categories = await categoriesOf(this.#database.read, set.id, pictures);
    return { set, pictures, categories: categories.map(({ name }) => name) };
  }

  /** See {@link Snapshots.shards}. */
  async shards({ set, pictures }: Pick<Snapshot, 'set' | 'pictures'>): Promise<SnapshotShard[]> {
    const rows = await shardsOf(this.#database.read, set.id);
    const end = (row: ShardRow) => row.first + row.pictures;
    const full = rows.filter((row) => row.full === 1 && end(row) <= pictures);
    const covered = full.reduce((most, row) => Math.max(most, end(row)), 0);
    // That of the snapshot itself, whatever has replaced it since.
    const small = rows.filter((row) => row.first === covered && end(row) === pictures);
    return [...full, ...small].map((row) => ({
      ...{ resource: row.resource, first: row.first, pictures: row.pictures },
    }));
  }
}

/** The shards of a set that storage has, in their order, with those that were replaced. */
export async function shardsOf(db: Kysely<Schema>, set: string): Promise<ShardRow[]> {
  return await db
    .selectFrom('picture_shards')
    .selectAll()
    .where('set_id', '=', set)
    .where('stored', '=', 1)
    .orderBy('first')
    .orderBy('pictures')
    .execute();
}
