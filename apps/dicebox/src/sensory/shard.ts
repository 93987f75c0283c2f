import { createHash } from 'node:crypto';
import type { ShardIndex } from '@morpheo/common';
import { type TarEntry, tarOf } from '@morpheo/service/archive';
import type { Kysely } from 'kysely';
import type { DiceboxDatabase, PictureRow, PictureSetRow, Schema, ShardRow } from '../db/schema.ts';

/** The namespace of the ids that are made of names here; it must never change. */
const NAMESPACE = Buffer.from('5b0a1a9c7d0e4c2f8a6e3f1d2c4b5a69', 'hex');

/** The id of a name: the same one, wherever and whenever it is asked for (RFC 9562 §5.5). */
export function namedId(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** What a shard is called on storage: the same range of a set is the same pictures for ever. */
export function shardId(set: string, first: number, pictures: number): string {
  return namedId(`shard:${set}:${first}:${pictures}`);
}

/** A block of a tar: its headers are one long, and what is in it fills up the last. */
const BLOCK = 512;
/** How much of what waits in the database is held at once. */
const PIECE_BYTES = 16 * 1024 ** 2;

type Described = Pick<PictureRow, 'number' | 'category' | 'digest' | 'format' | 'size'>;

/** A shard as it goes to storage. */
export interface ShardArchive {
  /** A tar that is not compressed, of `index.json`, `pixels.u8` and the pictures as they came. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly bytes: number;
  /** Where the pixels begin in it. */
  readonly pixelsAt: number;
}

/** Makes a shard of pictures that wait in the database; no more of them is in memory than a piece. */
export async function archiveOf(
  database: DiceboxDatabase,
  set: PictureSetRow,
  shard: Pick<ShardRow, 'first' | 'pictures'>,
): Promise<ShardArchive> {
  const rows = await describe(database.read, set.id, shard);
  const index = Buffer.from(JSON.stringify(indexOf(set, shard, rows)));
  const sizes = [index.byteLength, rows.length * pictureBytes(set), ...rows.map(({ size }) => size)];
  const entries = sizes.reduce((all, size) => all + BLOCK + filled(size), 0);
  return {
    body: tarOf(entriesOf(database.read, set, rows, index)),
    // Two empty blocks are the end.
    bytes: entries + 2 * BLOCK,
    pixelsAt: BLOCK + filled(index.byteLength) + BLOCK,
  };
}

/** How many bytes the pixels of one picture have. */
export function pictureBytes({
  width,
  height,
  channels,
}: Pick<PictureSetRow, 'width' | 'height' | 'channels'>) {
  return width * height * channels;
}

function filled(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

async function describe(
  db: Kysely<Schema>,
  set: string,
  { first, pictures }: Pick<ShardRow, 'first' | 'pictures'>,
): Promise<Described[]> {
  return await db
    .selectFrom('pictures')
    .select(['number', 'category', 'digest', 'format', 'size'])
    .where('set_id', '=', set)
    .where('number', '>=', first)
    .where('number', '<', first + pictures)
    .orderBy('number')
    .execute();
}

function indexOf(
  { name, width, height, channels }: PictureSetRow,
  { first }: Pick<ShardRow, 'first'>,
  rows: readonly Described[],
): ShardIndex {
  return {
    ...{ version: 1, name, width, height, channels, count: rows.length, first },
    categories: rows.map(({ category }) => category),
    ids: rows.map(({ digest }) => digest),
    files: rows.map((row) => fileOf(row, first)),
  };
}

function fileOf({ number, format }: Described, first: number): string {
  return `pictures/${String(number - first).padStart(4, '0')}.${format}`;
}

async function* entriesOf(
  db: Kysely<Schema>,
  set: PictureSetRow,
  rows: readonly Described[],
  index: Buffer,
): AsyncGenerator<TarEntry> {
  const file = { type: 'file', mode: 0o644 } as const;
  yield { ...file, name: 'index.json', size: index.byteLength, bytes: once(index) };
  const each = pictureBytes(set);
  yield {
    ...file,
    name: 'pixels.u8',
    size: rows.length * each,
    bytes: loose(db, set.id, 'pixels', rows, each),
  };
  const first = rows[0]?.number ?? 0;
  const bytes = loose(db, set.id, 'bytes', rows);
  for (const row of rows) {
    const { value = Buffer.alloc(0) } = await bytes.next();
    yield { ...file, name: fileOf(row, first), size: row.size, bytes: once(value) };
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A column of pictures, one after the other; `each` is how long one is, where all are of one length. */
async function* loose(
  db: Kysely<Schema>,
  set: string,
  column: 'bytes' | 'pixels',
  rows: readonly Described[],
  each?: number,
): AsyncGenerator<Buffer, undefined> {
  for (let at = 0; at < rows.length; ) {
    let [end, held] = [at, 0];
    while (end < rows.length && (end === at || held < PIECE_BYTES)) {
      held += each ?? rows[end]?.size ?? 0;
      end += 1;
    }
    const numbers = rows.slice(at, end).map(({ number }) => number);
    const found = await db
      .selectFrom('pictures')
      .select(column)
      .where('set_id', '=', set)
      .where('number', '>=', numbers[0] ?? 0)
      .where('number', '<=', numbers.at(-1) ?? 0)
      .orderBy('number')
      .execute();
    // What is gone went into this very shard, made by somebody else: the tar comes out short, and is not taken.
    for (const row of found) yield Buffer.from(row[column] ?? '', 'base64');
    at = end;
  }
  return undefined;
}
