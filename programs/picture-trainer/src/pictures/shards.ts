import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as z from 'zod';
import { Refusal, wrong } from '../refusal.ts';

/** Pictures of one size, with their categories. */
export interface Pictures {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** 0 to 255; picture by picture, in rows from the top, the channels of a point beside each other. */
  readonly pixels: Uint8Array;
  /** The name of each picture's category. */
  readonly categories: readonly string[];
}

const side = z.int().min(1).max(65_536);

/** What `index.json` of a shard says of its `pixels.u8`; what else it says is for others. */
const index = z.object({
  version: z.literal(1),
  ...{ width: side, height: side, channels: z.int().min(1).max(4), count: z.int().min(0) },
  categories: z.array(z.string()),
});

/**
 * Reads all shards of a folder, in the order of their names: each is a folder with `index.json` and `pixels.u8`. A folder that has
 * these itself is one shard.
 *
 * @throws Refusal where there is none, one is damaged, or they hold pictures of different sizes.
 */
export async function readShards(folder: string): Promise<Pictures> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).toSorted();
  if (names.includes('index.json')) return await readShard(folder, basename(folder));
  const shards: Pictures[] = [];
  for (const name of names) {
    // A link to a folder is one, as inputs of the process runtime are.
    if ((await stat(join(folder, name))).isDirectory())
      shards.push(await readShard(join(folder, name), name));
  }
  const [first] = shards;
  if (first === undefined)
    throw new Refusal(
      'There are no pictures: a folder with index.json and pixels.u8 belongs into the folder of pictures.',
    );
  const other = shards.findIndex((shard) => sizeText(shard) !== sizeText(first));
  if (other !== -1)
    throw new Refusal(
      `The pictures have different sizes: ${sizeText(first)} and ${sizeText(shards[other] ?? first)}. Train on one picture set.`,
    );
  return {
    ...first,
    pixels: Buffer.concat(shards.map(({ pixels }) => pixels)),
    categories: shards.flatMap(({ categories }) => categories),
  };
}

/** Width, height and channels as they are told to people. */
export function sizeText(size: Pick<Pictures, 'width' | 'height' | 'channels'>): string {
  return `${size.width} × ${size.height} × ${size.channels}`;
}

async function readShard(path: string, name: string): Promise<Pictures> {
  const found = index.safeParse(await readIndex(path, name));
  if (!found.success) throw new Refusal(`The shard ${name} has a wrong index.json: ${wrong(found.error)}.`);
  const { width, height, channels, count, categories } = found.data;
  if (categories.length !== count)
    throw new Refusal(
      `The shard ${name} says that it holds ${count} pictures, and has ${categories.length} categories.`,
    );
  const pixels = await readPart(join(path, 'pixels.u8'), name);
  const expected = count * width * height * channels;
  if (pixels.length !== expected)
    throw new Refusal(
      `The shard ${name} is damaged: its pixels.u8 has ${pixels.length} bytes, and ${count} pictures of ${width} × ${height} × ${channels} have ${expected}.`,
    );
  return { width, height, channels, pixels, categories };
}

async function readIndex(path: string, name: string): Promise<unknown> {
  const bytes = await readPart(join(path, 'index.json'), name);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Refusal(`The shard ${name} is damaged: its index.json is not JSON.`);
  }
}

async function readPart(path: string, name: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch {
    throw new Refusal(
      `The shard ${name} is damaged: its file ${path.slice(path.lastIndexOf('/') + 1)} cannot be read.`,
    );
  }
}
