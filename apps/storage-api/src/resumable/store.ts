import { PlatformError } from '@morpheo/common';
import { sql } from 'kysely';
import type { Within } from '../metadata/resources.ts';
import type { StorageDatabase, StorageTransaction, UploadRow } from '../metadata/schema.ts';
import { requireQuota } from '../quotas/check.ts';
import { requireRoomToBegin, type UploadBounds } from '../quotas/open-uploads.ts';

/** A resumable upload as it begins. */
export type NewUpload = Pick<UploadRow, 'id' | 'creator' | 'type' | 'uuid' | 'metadata' | 'size'>;

/** What the creator of an upload may have. */
export interface Allowed {
  /** The most bytes; any where absent. */
  readonly quota?: number | undefined;
  readonly bounds: UploadBounds;
}

/**
 * Begins an upload, in one transaction: until it ends, all bytes that it has announced count as its creator's. Throws
 * `quota_exceeded` where the creator would have more than is allowed.
 */
export async function beginUpload(
  database: StorageDatabase,
  upload: NewUpload,
  { quota, bounds }: Allowed,
): Promise<UploadRow> {
  return await database.write(async (transaction) => {
    const { creator: owner, size: adds } = upload;
    await requireRoomToBegin(transaction, { owner, adds }, bounds);
    if (quota !== undefined) await requireQuota(transaction, { owner, quota, adds });
    return await transaction
      .insertInto('uploads')
      .values({ ...upload, received: 0, touched_at: database.now, finished_at: null })
      .returningAll()
      .executeTakeFirstOrThrow();
  });
}

/** The row of an upload, or undefined. */
export async function findUpload(read: StorageTransaction, id: string): Promise<UploadRow | undefined> {
  return await read.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Writes down, in one transaction, that the bytes up to `received` are on disk. Throws `wrong_state` where somebody
 * else has written down another count since the row was read.
 */
export async function advanceUpload(
  database: StorageDatabase,
  before: UploadRow,
  received: number,
): Promise<UploadRow> {
  return await database.write(async (transaction) => {
    const row = await transaction
      .updateTable('uploads')
      .set({ received, touched_at: database.now })
      .where('id', '=', before.id)
      .where('received', '=', before.received)
      .returningAll()
      .executeTakeFirst();
    if (row !== undefined) return row;
    throw new PlatformError(
      'wrong_state',
      'Somebody else went on with this upload meanwhile: ask for its offset.',
    );
  });
}

/** Writes down, within the transaction in which the thing appears, that its upload has come to its end. */
export function markFinished({ now }: StorageDatabase, id: string): Within {
  return async (transaction) => {
    await transaction.updateTable('uploads').set({ finished_at: now }).where('id', '=', id).execute();
  };
}

/** Forgets an upload, in one transaction. */
export async function removeUpload(database: StorageDatabase, id: string): Promise<void> {
  await database.write(async (transaction) => {
    await transaction.deleteFrom('uploads').where('id', '=', id).execute();
  });
}

/** The ids of the uploads to which nothing came for `ageMs`. */
export async function expiredUploads({ read, now }: StorageDatabase, ageMs: number): Promise<string[]> {
  const rows = await read
    .selectFrom('uploads')
    .select('id')
    .where('touched_at', '<', sql<number>`${now} - ${sql.lit(ageMs)}`)
    .execute();
  return rows.map(({ id }) => id);
}
