import { randomUUID } from 'node:crypto';
import { PICTURE_BOUNDS, type PictureSetKey, PlatformError, pictureSetKey } from '@morpheo/common';
import type { Kysely } from 'kysely';
import type { DiceboxDatabase, PictureSetRow, Schema } from '../db/schema.ts';
import type { Shape } from '../pixels/picture.ts';

/** A category of a set; its index is its place among them. */
export interface Category {
  readonly name: string;
  readonly pictures: number;
}

/** A set as somebody names it, who may have left something out. */
export type NamedSet = { readonly [K in keyof PictureSetKey]?: PictureSetKey[K] | undefined };

/** Who asks for sets: everybody sees their own, and an admin those of all. */
export interface Viewer {
  readonly name: string;
  readonly isAdmin: boolean;
}

/** The sets of pictures, and their categories. */
export class PictureSets {
  readonly #database: DiceboxDatabase;
  readonly #usual: PictureSetKey | undefined;

  /** `usual` is the set of those who name none. */
  constructor(database: DiceboxDatabase, usual?: PictureSetKey) {
    this.#database = database;
    this.#usual = usual;
  }

  /** A set by its id. Throws `not_found`, also for one that the viewer may not see. */
  async get(id: string, viewer: Viewer): Promise<PictureSetRow> {
    const row = await this.#database.read
      .selectFrom('picture_sets')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    if (row !== undefined && (viewer.isAdmin || row.owner === viewer.name)) return row;
    throw new PlatformError('not_found', `There is no set of pictures ${id}.`);
  }

  /** Those that the viewer sees, by name. */
  async list(viewer: Viewer): Promise<PictureSetRow[]> {
    let query = this.#database.read.selectFrom('picture_sets').selectAll();
    if (!viewer.isAdmin) query = query.where('owner', '=', viewer.name);
    return await query.orderBy('name').orderBy('width').orderBy('height').orderBy('id').execute();
  }

  /**
   * The set that an owner names; without a word the usual one of this service, or the only one that the owner has. Throws
   * `invalid_request` where there is no such set, or where it is not clear which.
   */
  async find(owner: string, named?: NamedSet): Promise<PictureSetRow> {
    const key = named?.name === undefined ? this.#usual : demandKey(named);
    const rows = await this.list({ name: owner, isAdmin: false });
    const found = key === undefined ? rows : rows.filter((row) => isOf(row, key));
    const [only] = found;
    if (only !== undefined && found.length === 1) return only;
    const what = key === undefined ? 'no set of pictures' : `no set ${nameOf(key)}`;
    throw new PlatformError(
      'invalid_request',
      rows.length === 0 || key !== undefined
        ? `There is ${what} yet: store pictures first.`
        : `There are several sets: say name, width and height of one of ${rows.map(nameOf).join(', ')}.`,
    );
  }

  /** What pictures of a set become, whether it is there or not: then they are grey. Throws `invalid_request` for no set. */
  async shapeOf(owner: string, named: NamedSet): Promise<Shape> {
    const key = demandKey(named);
    return (await this.#owned(owner, key)) ?? { ...key, channels: 1 };
  }

  /** The set of an owner, made where it is not there. Throws `conflict` where it has other channels than are asked for. */
  async make(owner: string, named: PictureSetKey, channels?: 1 | 3): Promise<PictureSetRow> {
    const { name, width, height } = demandKey(named);
    const row =
      (await this.#owned(owner, named)) ??
      (await this.#database.write(async (db) => {
        const id = randomUUID();
        await db
          .insertInto('picture_sets')
          .values({ id, owner, name, width, height, channels: channels ?? 1, created_at: this.#database.now })
          .onConflict((conflict) => conflict.columns(['owner', 'name', 'width', 'height']).doNothing())
          .execute();
        return await db
          .selectFrom('picture_sets')
          .selectAll()
          .where('owner', '=', owner)
          .where('name', '=', name)
          .where('width', '=', width)
          .where('height', '=', height)
          .executeTakeFirstOrThrow();
      }));
    if (channels === undefined || row.channels === channels) return row;
    const message = `The set ${nameOf(row)} is there, with ${row.channels} values for each pixel.`;
    throw new PlatformError('conflict', message);
  }

  async #owned(owner: string, { name, width, height }: PictureSetKey): Promise<PictureSetRow | undefined> {
    return await this.#database.read
      .selectFrom('picture_sets')
      .selectAll()
      .where('owner', '=', owner)
      .where('name', '=', name)
      .where('width', '=', width)
      .where('height', '=', height)
      .executeTakeFirst();
  }

  /** The categories that a set had when it had so many pictures, in the order of their indexes. */
  async categories({ id, pictures }: Pick<PictureSetRow, 'id' | 'pictures'>): Promise<Category[]> {
    return await categoriesOf(this.#database.read, id, pictures);
  }
}

/** See {@link PictureSets.categories}. */
export async function categoriesOf(db: Kysely<Schema>, set: string, pictures: number): Promise<Category[]> {
  const rows = await db
    .selectFrom('picture_categories')
    .select(['name', 'pictures'])
    .where('set_id', '=', set)
    .where('first', '<', pictures)
    .execute();
  // Not by the database: its order hangs on how it was set up.
  return rows.toSorted((a, b) => compare(a.name, b.name));
}

/** By the numbers of their characters, as the originals sort. */
function compare(a: string, b: string): number {
  const [one, other] = [[...a], [...b]];
  for (const [at, sign] of one.entries()) {
    const difference = (sign.codePointAt(0) ?? 0) - (other[at]?.codePointAt(0) ?? -1);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

/** As people and the folders of the original call a set, such as `dicebox_100x100`. */
export function nameOf({ name, width, height }: PictureSetKey): string {
  return `${name}_${width}x${height}`;
}

function isOf(row: PictureSetRow, { name, width, height }: PictureSetKey): boolean {
  return row.name === name && row.width === width && row.height === height;
}

function demandKey(named: NamedSet): PictureSetKey {
  const read = pictureSetKey.safeParse(named);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const where = issue?.path.join('.') ?? 'name';
  const what = where === 'name' ? issue?.message : `should be a whole number of 1 to ${PICTURE_BOUNDS.side}`;
  throw new PlatformError('invalid_request', `\`${where}\` of the set of pictures ${what}.`);
}
