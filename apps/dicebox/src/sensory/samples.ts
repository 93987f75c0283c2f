import { PlatformError } from '@morpheo/common';
import { randomOf } from '@morpheo/search';
import type { DiceboxDatabase, PictureRow, PictureSetRow, ShardRow } from '../db/schema.ts';
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

/** So many pictures are read from the database by one query. */
const ROWS = 500;

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

  /** The samples of these numbers, in their order. Throws `unavailable` where storage does not give their shards. */
  async *of(set: PictureSetRow, draw: Draw, numbers: readonly number[]): AsyncGenerator<Sample> {
    const at = permutationOf(draw.seed, draw.pictures);
    for (let done = 0; done < numbers.length; done += ROWS) {
      const some = numbers.slice(done, done + ROWS).map((sample) => ({ sample, picture: at(sample) }));
      const rows = await this.#rows(
        set.id,
        some.map(({ picture }) => picture),
      );
      for (const { sample, picture } of some) {
        const row = rows.get(picture);
        if (row === undefined)
          throw new PlatformError('internal', `The set ${set.id} lacks its picture ${picture}.`);
        const pixels = await this.#pixels(set, row);
        const random = randomOf('sample', draw.seed, sample);
        yield { picture, category: row.category, pixels: augment(pixels, set, draw.noise, random) };
      }
    }
  }

  /** One sample. */
  async one(set: PictureSetRow, draw: Draw, sample: number): Promise<Sample> {
    for await (const found of this.of(set, draw, [sample])) return found;
    throw new PlatformError('internal', `There is no sample ${sample}.`);
  }

  async #rows(set: string, numbers: readonly number[]) {
    const rows = await this.#database.read
      .selectFrom('pictures')
      .select(['number', 'category', 'pixels'])
      .where('set_id', '=', set)
      .where('number', 'in', numbers)
      .execute();
    return new Map(rows.map((row) => [row.number, row]));
  }

  async #pixels(set: PictureSetRow, row: Pick<PictureRow, 'number' | 'pixels'>): Promise<Uint8Array> {
    if (row.pixels !== null) return Buffer.from(row.pixels, 'base64');
    const each = pictureBytes(set);
    const shard = await this.#shardOf(set.id, row.number);
    const pixels = { resource: shard.resource, at: shard.pixels_at, bytes: shard.pictures * each };
    return await this.#files.read(pixels, (row.number - shard.first) * each, each);
  }

  async #shardOf(set: string, number: number): Promise<ShardRow> {
    const known = holding(this.#shards.get(set) ?? [], number);
    if (known !== undefined) return known;
    const rows = await shardsOf(this.#database.read, set);
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
