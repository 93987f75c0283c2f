import { PlatformError } from '@morpheo/common';
import { randomOf } from '@morpheo/search';
import type { Kysely } from 'kysely';
import type { DiceboxDatabase, PictureRow, PictureSetRow, Schema, ShardRow } from '../db/schema.ts';
import { augment } from '../pixels/augment.ts';
import { permutationOf } from './permutation.ts';
import { pictureBytes } from './shard.ts';
import type { ShardFiles } from './shard-files.ts';
import { shardsOf } from './snapshots.ts';

/** What decides all samples of a batch. */
export interface Draw {
  readonly seed: number;
  /** How many pictures of the set take part: the first ones. */
  readonly pictures: number;
  readonly noise: number;
}

/** A sample: a picture of the set, changed by chance. */
export interface Sample {
  /** The number of its picture. */
  readonly picture: number;
  readonly category: string;
  /** Row by row, in the shape of the set. */
  readonly pixels: Uint8Array;
}

/** A picture as samples are made of it. */
export type PictureOfSample = Pick<PictureRow, 'number' | 'category' | 'pixels'>;

/** So many pictures are read from the database by one query. */
const ROWS = 500;

/** The picture that a sample is made of; the same for the same draw. Throws `internal` where the set lacks it. */
export async function pictureOf(
  db: Kysely<Schema>,
  set: string,
  draw: Draw,
  sample: number,
): Promise<PictureOfSample> {
  const number = permutationOf(draw.seed, draw.pictures)(sample);
  return takeRow(await rowsOf(db, set, [number]), set, number);
}

async function rowsOf(
  db: Kysely<Schema>,
  set: string,
  numbers: readonly number[],
): Promise<Map<number, PictureOfSample>> {
  const rows = await db
    .selectFrom('pictures')
    .select(['number', 'category', 'pixels'])
    .where('set_id', '=', set)
    .where('number', 'in', numbers)
    .execute();
  return new Map(rows.map((row) => [row.number, row]));
}

function takeRow(rows: ReadonlyMap<number, PictureOfSample>, set: string, number: number): PictureOfSample {
  const row = rows.get(number);
  if (row !== undefined) return row;
  throw new PlatformError('internal', `The set ${set} lacks its picture ${number}.`);
}

/** Computes samples: the same draw and number give the same sample, whenever and wherever they are asked for. */
export class Samples {
  readonly #database: DiceboxDatabase;
  readonly #files: ShardFiles;
  /** By set; it only ever grows. */
  readonly #shards = new Map<string, readonly ShardRow[]>();

  constructor(database: DiceboxDatabase, files: ShardFiles) {
    this.#database = database;
    this.#files = files;
  }

  /** The first so many samples, in their order. Throws `unavailable` where storage does not give their shards. */
  async *first(set: PictureSetRow, draw: Draw, count: number): AsyncGenerator<Sample> {
    const at = permutationOf(draw.seed, draw.pictures);
    for (let from = 0; from < count; from += ROWS) {
      const length = Math.min(ROWS, count - from);
      const numbers = Array.from({ length }, (_, place) => at(from + place));
      const rows = await rowsOf(this.#database.read, set.id, numbers);
      for (const [place, number] of numbers.entries())
        yield await this.make(set, draw, from + place, takeRow(rows, set.id, number));
    }
  }

  /** One sample, by its number. */
  async one(set: PictureSetRow, draw: Draw, sample: number): Promise<Sample> {
    return await this.make(set, draw, sample, await pictureOf(this.#database.read, set.id, draw, sample));
  }

  /** Makes a sample of its picture, as {@link pictureOf} gives that. */
  async make(set: PictureSetRow, draw: Draw, sample: number, picture: PictureOfSample): Promise<Sample> {
    const pixels = await this.#pixels(set, picture);
    const random = randomOf('sample', draw.seed, sample);
    const { number, category } = picture;
    return { picture: number, category, pixels: augment(pixels, set, draw.noise, random) };
  }

  async #pixels(set: PictureSetRow, row: PictureOfSample): Promise<Uint8Array> {
    if (row.pixels !== null) return Buffer.from(row.pixels, 'base64');
    const each = pictureBytes(set);
    const shard = await this.#shardOf(set.id, row.number);
    const pixels = { resource: shard.resource, at: shard.pixels_at, bytes: shard.pictures * each };
    return await this.#files.read(pixels, (row.number - shard.first) * each, each);
  }

  async #shardOf(set: string, number: number): Promise<ShardRow> {
    const known = holding(this.#shards.get(set) ?? [], number);
    if (known !== undefined) return known;
    // Of the others the pictures are in the database.
    const rows = (await shardsOf(this.#database.read, set)).filter(({ full }) => full === 1);
    this.#shards.set(set, rows);
    const found = holding(rows, number);
    if (found === undefined)
      throw new PlatformError('internal', `No shard of the set ${set} has its picture ${number}.`);
    return found;
  }
}

function holding(shards: readonly ShardRow[], number: number): ShardRow | undefined {
  const shard = shards.findLast(({ first }) => first <= number);
  return shard !== undefined && number < shard.first + shard.pictures ? shard : undefined;
}
