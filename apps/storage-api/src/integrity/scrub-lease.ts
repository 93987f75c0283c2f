import { randomUUID } from 'node:crypto';
import type { StorageDatabase } from '../metadata/schema.ts';

/** How long a process keeps a scrub for itself that reports nothing of it any more, in milliseconds. */
const HELD_MS = 300_000;
const NAME = 'blobs' as const;

/** How far a scrub has come, in the database: one process at a time goes on with it, from wherever another left it. */
export interface ScrubLease {
  /** The digest after which to go on; empty at the beginning. */
  readonly position: string;
  /** Writes the position down, and holds on to the lease; false where another process has it by now. */
  keep(position: string): Promise<boolean>;
  /** Ends the round: the next one is due after a while. */
  finish(): Promise<void>;
  /** Lets another process go on. */
  release(): Promise<void>;
}

/**
 * Takes the scrub for this process; undefined where another has it, or none is due yet: the next begins `everyMs` after
 * the end of the last one, which counts from the first time that somebody asks. A round that was cut is always due.
 */
export async function leaseScrub(
  database: StorageDatabase,
  everyMs: number,
): Promise<ScrubLease | undefined> {
  const { now } = database;
  const holder = randomUUID();
  const free = { position: '', held_until: 0, holder: '' };
  const row = await database.write(async (transaction) => {
    await transaction
      .insertInto('scrubs')
      .values({ name: NAME, ...free, finished_at: now })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute();
    return await transaction
      .updateTable('scrubs')
      .set(({ eb }) => ({ holder, held_until: eb(now, '+', HELD_MS) }))
      .where('held_until', '<', now)
      .where(({ eb, or }) =>
        or([eb('position', '!=', ''), eb(eb(eb.ref('finished_at'), '+', everyMs), '<=', now)]),
      )
      .returningAll()
      .executeTakeFirst();
  });
  if (row === undefined) return undefined;
  const update = async (values: { position?: string; finished?: boolean; released?: boolean }) =>
    await database.write(async (transaction) => {
      const { numUpdatedRows } = await transaction
        .updateTable('scrubs')
        .set(({ eb }) => ({
          ...(values.position === undefined ? {} : { position: values.position }),
          ...(values.finished === true ? { finished_at: now } : {}),
          ...(values.released === true ? { held_until: 0 } : { held_until: eb(now, '+', HELD_MS) }),
        }))
        .where('holder', '=', holder)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    });
  return {
    position: row.position,
    keep: (position) => update({ position }),
    finish: async () => void (await update({ position: '', finished: true, released: true })),
    release: async () => void (await update({ released: true })),
  };
}
