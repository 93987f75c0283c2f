import type { Database } from '@morpheo/service/database';
import type { Generated, Selectable } from 'kysely';
import type { ClassificationSchema } from '../classification/tables.ts';

/** A set of pictures that all become the same shape. */
interface PictureSetTable {
  /** A UUID. */
  id: string;
  /** Whose it is: the name of the credential that stored the first picture. */
  owner: string;
  name: string;
  width: number;
  height: number;
  /** 1: grey; 3: red, green, blue. */
  channels: 1 | 3;
  /** How many pictures it has; the number of the next one. None is ever taken away. */
  pictures: Generated<number>;
  /** How many of them, the first ones, are in full shards; the others are in the database. */
  packed: Generated<number>;
  /** How many bytes the others have, with their pixels. */
  loose_bytes: Generated<number>;
  /** Milliseconds since 1970. */
  created_at: number;
}

/** See {@link PictureSetTable}. */
export type PictureSetRow = Selectable<PictureSetTable>;

/** A category of a set, which is there since its first picture. */
interface CategoryTable {
  set_id: string;
  name: string;
  /** The number of its first picture: a snapshot that ends before does not know it. */
  first: number;
  pictures: number;
}

/** A picture of a set. */
interface PictureTable {
  set_id: string;
  /** Counts from 0, without a gap, in the order in which they came. */
  number: number;
  category: string;
  /** What its sender calls it, so that nothing is stored twice that is sent again; null where that said nothing. */
  name: string | null;
  /** SHA-256 of its bytes. */
  digest: string;
  format: 'png' | 'jpg';
  /** Of its bytes. */
  size: number;
  /** Its bytes, and its pixels in the shape of the set, in Base64; null once they are in a full shard. */
  bytes: string | null;
  pixels: string | null;
}

/** See {@link PictureTable}. */
export type PictureRow = Selectable<PictureTable>;

/**
 * Pictures that are, or are being, packed into one data set of storage. Those of a full shard are there alone; one that is not
 * full was made for a snapshot, and a later one that begins with the same picture replaces it.
 */
interface ShardTable {
  set_id: string;
  /** The number of its first picture; the others follow without a gap. */
  first: number;
  pictures: number;
  /** The id of its data set. */
  resource: string;
  /** 1 once storage has it; until then its range alone is fixed, so that it is made again as it was begun. */
  stored: Generated<number>;
  /** Where the pixels begin in its bytes, once storage has it. */
  pixels_at: Generated<number>;
  /** 1: no picture will be added. */
  full: number;
  /** Since when another shard has its pictures, in milliseconds since 1970; null: none. */
  replaced_at: number | null;
}

/** See {@link ShardTable}. */
export type ShardRow = Selectable<ShardTable>;

/** A batch that was ordered: its samples are computed when they are asked for. */
interface BatchTable {
  /** A UUID. */
  id: string;
  owner: string;
  set_id: string;
  seed: number;
  /** How many pictures the set had when it was ordered. */
  pictures: number;
  /** How many samples it has; at most one for each picture. */
  size: number;
  noise: number;
  /** The next sample that nobody was given yet. */
  next: Generated<number>;
  /** Milliseconds since 1970. */
  created_at: number;
  used_at: number;
}

/** See {@link BatchTable}. */
export type BatchRow = Selectable<BatchTable>;

/** A sample that is on its way to who polled it: it is given again where it did not leave whole. */
interface OpenSampleTable {
  batch_id: string;
  sample: number;
  /** The process that answers; empty where that knows already that it did not go out. */
  boot: string;
  /** Milliseconds since 1970. */
  given_at: number;
}

/** The tables of dicebox. */
export interface Schema extends ClassificationSchema {
  picture_sets: PictureSetTable;
  picture_categories: CategoryTable;
  pictures: PictureTable;
  picture_shards: ShardTable;
  batches: BatchTable;
  open_samples: OpenSampleTable;
}

/** The database of dicebox. */
export type DiceboxDatabase = Database<Schema>;
