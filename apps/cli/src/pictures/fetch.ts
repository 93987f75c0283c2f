import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import {
  PICTURE_BOUNDS,
  type PictureSet,
  pictureSetName,
  type ShardIndex,
  shardIndex,
} from '@morpheo/common';
import { type ArchivedEntry, ArchiveReader } from '@morpheo/service/archive';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { Progress } from '../terminal/progress.ts';

/** A picture's number in its file's name has so many digits, so that names sort as numbers do. */
const DIGITS = 7;
/** More than the index of a shard of the most pictures with the longest names has. */
const MOST_INDEX_BYTES = 8 * 1024 ** 2;

/**
 * Fetches all pictures of a set, as they were stored, into `folder`: a folder for each category below it. It appears when all
 * are there. Resolves with how many they are.
 */
export async function fetchPictures(
  { pictures, signal }: Pick<Context, 'pictures' | 'signal'>,
  { id }: Pick<PictureSet, 'id'>,
  folder: string,
  progress: Pick<Progress, 'add'>,
): Promise<number> {
  const { shards } = await pictures().takeSnapshot({ params: { set: id } }, { signal });
  const part = `${folder}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  let fetched = 0;
  for (const { first } of shards) {
    const { body } = await pictures().getShard({ params: { set: id, first } }, { signal });
    if (body === undefined) throw unreadable('it has no content');
    for await (const { path, bytes } of picturesOf(body, signal)) {
      await mkdir(join(part, path.category), { recursive: true });
      await writeFile(join(part, path.category, path.file), bytes);
      progress.add(1);
      fetched += 1;
    }
  }
  await rename(part, folder);
  return fetched;
}

interface Fetched {
  readonly path: { readonly category: string; readonly file: string };
  readonly bytes: Buffer;
}

/** The pictures of a shard, which has its index before them. */
async function* picturesOf(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Fetched> {
  let places: ReadonlyMap<string, Fetched['path']> | undefined;
  for await (const entry of new ArchiveReader(body, false).entries(signal)) {
    const { name } = entry.header;
    if (name === 'index.json') places = placesOf(await contentOf(entry, MOST_INDEX_BYTES));
    const path = places?.get(name);
    if (path !== undefined) yield { path, bytes: await contentOf(entry, PICTURE_BOUNDS.bytes) };
  }
  if (places === undefined) throw unreadable('it has no index');
}

function placesOf(text: Buffer): ReadonlyMap<string, Fetched['path']> {
  const read = shardIndex.safeParse(JSON.parse(text.toString('utf8')));
  if (!read.success) throw unreadable('its index is malformed');
  return new Map(read.data.files.map((file, at) => [file, placeOf(read.data, file, at)]));
}

function placeOf({ categories, first }: ShardIndex, file: string, at: number): Fetched['path'] {
  const category = pictureSetName.safeParse(categories[at]);
  const ending = extname(file);
  // It becomes a path on this machine.
  if (!category.success || !/^\.[a-z]{3,4}$/.test(ending)) throw unreadable('its index names no path');
  return { category: category.data, file: `${String(first + at).padStart(DIGITS, '0')}${ending}` };
}

async function contentOf(entry: ArchivedEntry, most: number): Promise<Buffer> {
  if (entry.header.size > most) throw unreadable(`${entry.header.name} has ${entry.header.size} bytes`);
  return Buffer.concat(await Array.fromAsync(entry.bytes()));
}

function unreadable(why: string): CliError {
  return new CliError(EXIT.failed, `A shard of the pictures cannot be read: ${why}.`);
}
