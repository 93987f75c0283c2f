import { setImmediate } from 'node:timers/promises';
import { type RawBuilder, sql } from 'kysely';
import type { StorageTransaction } from './schema.ts';

/** Of so many things figures are reckoned in one statement: it takes some milliseconds. */
const AT_ONCE = 10_000;
/** Of more in as many as there are first bytes of a digest, which are spread evenly. */
const SLICES = 256;

/** A part of all things; those with one digest are in one slice. */
export interface Slice {
  /** The condition by which a row with a digest belongs to it. */
  readonly within: RawBuilder<boolean>;
  /** True where there is no other one. */
  readonly isAll: boolean;
  readonly isFirst: boolean;
}

/**
 * Reckons figures of the things that fit a condition by their digests, a slice at a time where there are many, so that
 * nobody waits for long in between: calls that came meanwhile go first. Up to `atOnce` things are one slice.
 */
export async function inSlices<T>(
  read: StorageTransaction,
  fitting: RawBuilder<boolean>,
  work: (slice: Slice) => Promise<readonly T[]>,
  atOnce: number = AT_ONCE,
): Promise<T[]> {
  const some = read
    .selectFrom('resources')
    .select('uuid')
    .where(fitting)
    .limit(atOnce + 1);
  const { n } = await read
    .selectFrom(some.as('some'))
    .select((row) => row.fn.countAll<number | string>().as('n'))
    .executeTakeFirstOrThrow();
  if (Number(n) <= atOnce) return [...(await work({ within: sql`1 = 1`, isAll: true, isFirst: true }))];
  const all: T[] = [];
  for (let slice = 0; slice < SLICES; slice++) {
    const within = sql<boolean>`sha256 >= ${bound(slice)} and sha256 < ${bound(slice + 1)}`;
    all.push(...(await work({ within, isAll: false, isFirst: slice === 0 })));
    await setImmediate();
  }
  return all;
}

/** The least digest of a slice; after the last one, what is greater than every digest. */
function bound(slice: number): string {
  return slice === SLICES ? 'g' : slice.toString(16).padStart(2, '0');
}
