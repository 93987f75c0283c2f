import * as z from 'zod';
import { sha256Hex } from '../digest.ts';

/** What pictures, sets and batches may have at the most. */
export const PICTURE_BOUNDS = {
  /** Characters of the name of a set, or of a category. */
  name: 100,
  /** Characters of what a sender calls a picture. */
  pictureName: 500,
  /** Columns, or rows, of a set. */
  side: 1024,
  /** Categories of a set. */
  categories: 1000,
  /** Pictures in one shard. */
  shard: 5000,
  /** Pictures in one request for a few at once. */
  request: 5000,
  /** Numbers in the answer to such a request, those of its labels too: it is made as a whole. */
  numbers: 16 * 1024 ** 2,
  /** Pictures in one request that stores many. */
  lines: 1000,
  /** Bytes of a picture as it is sent. */
  bytes: 16 * 1024 ** 2,
} as const;

/** Of a name that becomes a folder where pictures are exported. */
const NAME_RULE = `should be 1 to ${PICTURE_BOUNDS.name} characters, not . or .., without /, \\ and control characters, and without a space at either end`;

/** The name of a set of pictures, or of a category. */
export const pictureSetName = z
  .string()
  .refine((name) => name.length >= 1 && name.length <= PICTURE_BOUNDS.name && isPlain(name), NAME_RULE);

function isPlain(name: string): boolean {
  return !/[/\\\p{C}]/u.test(name) && name.trim() === name && name !== '.' && name !== '..';
}

const side = z.int().min(1).max(PICTURE_BOUNDS.side);

/** Which set: several of one name may differ in their size. */
export const pictureSetKey = z.object({ name: pictureSetName, width: side, height: side });

/** See {@link pictureSetKey}. */
export type PictureSetKey = z.infer<typeof pictureSetKey>;

/** The index of a shard, its file `index.json`: what is said of each picture stands at its place in each list. */
export const shardIndex = z.object({
  version: z.literal(1),
  /** The set. */
  name: z.string(),
  width: z.int(),
  height: z.int(),
  /** Values of a pixel: 1 is grey, 3 are red, green and blue. */
  channels: z.union([z.literal(1), z.literal(3)]),
  /** How many pictures the shard has. */
  count: z.int(),
  /** The number of its first picture in the set. */
  first: z.int(),
  /** The category of each. */
  categories: z.array(z.string()),
  /** The SHA-256 of the bytes of each, as it was stored. */
  ids: z.array(sha256Hex),
  /** Where the bytes of each are in the shard, such as `pictures/0000.png`. */
  files: z.array(z.string()),
});

/** See {@link shardIndex}. */
export type ShardIndex = z.infer<typeof shardIndex>;
