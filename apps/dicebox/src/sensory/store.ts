import { createHash } from 'node:crypto';
import { PICTURE_BOUNDS, PlatformError, pictureSetName } from '@morpheo/common';
import type { Transaction } from 'kysely';
import type { DiceboxDatabase, Schema } from '../db/schema.ts';
import { readPicture, type Shape } from '../pixels/picture.ts';

/** A picture as it is sent. */
export interface SentPicture {
  readonly category: string;
  /** What its sender calls it: see `newPicture`. */
  readonly name?: string | undefined;
  readonly bytes: Uint8Array;
}

/** A picture that was looked at, and can be stored. */
export interface ReadyPicture {
  readonly category: string;
  readonly name: string | null;
  readonly digest: string;
  readonly format: 'png' | 'jpg';
  readonly bytes: Buffer;
  readonly pixels: Buffer;
}

/** What became of a picture: `known` was there already, and `taken` is the name of another one. */
export type Fate = 'stored' | 'known' | 'taken';

/**
 * Looks at a picture, and makes it what its set has. Throws `invalid_request` for a category that is none and for what is no
 * picture, and `too_large`.
 */
export async function prepare(shape: Shape, picture: SentPicture): Promise<ReadyPicture> {
  const { category, name = null } = picture;
  demandCategory(category);
  const { format, pixels } = await readPicture(picture.bytes, shape);
  const bytes = Buffer.from(picture.bytes);
  const digest = createHash('sha256').update(bytes).digest('hex');
  return { category, name, digest, format, bytes, pixels: Buffer.from(pixels) };
}

function demandCategory(category: string): void {
  const read = pictureSetName.safeParse(category);
  if (read.success) return;
  const shown = category.length > 60 ? `${category.slice(0, 60)}…` : category;
  const why = read.error.issues[0]?.message ?? '';
  throw new PlatformError('invalid_request', `The category ${JSON.stringify(shown)} ${why}.`);
}

/**
 * Stores pictures in one transaction, in their order: they are on disk when it resolves. Tells of each what became of it.
 * Throws `invalid_request` where there would be too many categories: then none is stored.
 */
export async function storePictures(
  database: DiceboxDatabase,
  set: string,
  pictures: readonly ReadyPicture[],
): Promise<Fate[]> {
  return await database.write(async (db) => {
    // First of all: it holds the set, so that the numbers have no gap and no name comes twice.
    const { pictures: count } = await db
      .updateTable('picture_sets')
      .set((row) => ({ pictures: row('pictures', '+', 0) }))
      .where('id', '=', set)
      .returning('pictures')
      .executeTakeFirstOrThrow();
    const fates = await fatesOf(db, set, pictures);
    const fresh = pictures.filter((_, at) => fates[at] === 'stored');
    if (fresh.length === 0) return fates;
    await insert(db, set, count, fresh);
    await countCategories(db, set, count, fresh);
    const bytes = fresh.reduce((all, one) => all + one.bytes.byteLength + one.pixels.byteLength, 0);
    await db
      .updateTable('picture_sets')
      .set((row) => ({ pictures: count + fresh.length, loose_bytes: row('loose_bytes', '+', bytes) }))
      .where('id', '=', set)
      .execute();
    return fates;
  });
}

type Tx = Transaction<Schema>;

async function fatesOf(db: Tx, set: string, pictures: readonly ReadyPicture[]): Promise<Fate[]> {
  const names = pictures.flatMap(({ name }) => name ?? []);
  const there = new Map<string, string>();
  if (names.length > 0) {
    const rows = await db
      .selectFrom('pictures')
      .select(['name', 'category', 'digest'])
      .where('set_id', '=', set)
      .where('name', 'in', names)
      .execute();
    for (const { name, ...row } of rows) if (name !== null) there.set(name, identityOf(row));
  }
  return pictures.map((picture) => {
    if (picture.name === null) return 'stored';
    const [identity, known] = [identityOf(picture), there.get(picture.name)];
    // Those of one name that come together, too.
    there.set(picture.name, known ?? identity);
    return known === undefined ? 'stored' : known === identity ? 'known' : 'taken';
  });
}

function identityOf({ category, digest }: Pick<ReadyPicture, 'category' | 'digest'>): string {
  return `${digest} ${category}`;
}

/** How many rows go into one statement: their values have a bound. */
const ROWS = 200;

async function insert(db: Tx, set: string, count: number, pictures: readonly ReadyPicture[]): Promise<void> {
  const rows = pictures.map(({ bytes, pixels, ...picture }, at) => ({
    ...picture,
    set_id: set,
    number: count + at,
    size: bytes.byteLength,
    bytes: bytes.toString('base64'),
    pixels: pixels.toString('base64'),
  }));
  for (let at = 0; at < rows.length; at += ROWS)
    await db
      .insertInto('pictures')
      .values(rows.slice(at, at + ROWS))
      .execute();
}

async function countCategories(
  db: Tx,
  set: string,
  count: number,
  pictures: readonly ReadyPicture[],
): Promise<void> {
  const added = new Map<string, { first: number; pictures: number }>();
  for (const [at, { category }] of pictures.entries()) {
    const { first, pictures: before } = added.get(category) ?? { first: count + at, pictures: 0 };
    added.set(category, { first, pictures: before + 1 });
  }
  for (const [name, row] of added) {
    await db
      .insertInto('picture_categories')
      .values({ set_id: set, name, ...row })
      .onConflict((conflict) =>
        conflict
          .columns(['set_id', 'name'])
          .doUpdateSet((old) => ({ pictures: old('picture_categories.pictures', '+', row.pictures) })),
      )
      .execute();
  }
  const { categories } = await db
    .selectFrom('picture_categories')
    .select((row) => row.fn.countAll<number>().as('categories'))
    .where('set_id', '=', set)
    .executeTakeFirstOrThrow();
  if (Number(categories) <= PICTURE_BOUNDS.categories) return;
  const message = `The set would have ${categories} categories; at most ${PICTURE_BOUNDS.categories} are taken.`;
  throw new PlatformError('invalid_request', message, { details: { limit: PICTURE_BOUNDS.categories } });
}
