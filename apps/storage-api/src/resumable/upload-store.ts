import { PlatformError } from '@morpheo/common';
import { requireRoom } from '../ledger/room.ts';
import type { Within } from '../resource-store.ts';
import type { StorageDatabase } from '../schema.ts';
import type { UploadRow } from './upload-table.ts';

/** A resumable upload as it begins. */
export type NewUpload = Pick<UploadRow, 'id' | 'creator' | 'type' | 'uuid' | 'metadata' | 'size'>;

/** What is known of resumable uploads. Every function is one transaction, and on disk when it resolves. */
export interface UploadStore {
  /**
   * Begins an upload: until it ends, all bytes that it has announced count as its creator's. Throws `quota_exceeded`
   * where the creator would have more than `quota`; any number is taken where that is absent.
   */
  insert(upload: NewUpload, quota?: number): Promise<UploadRow>;
  find(id: string): Promise<UploadRow | undefined>;
  /**
   * Writes down that the bytes up to `received` are on disk. Throws `wrong_state` where somebody else has written down
   * another count since the row was read.
   */
  advance(before: UploadRow, received: number): Promise<UploadRow>;
  /** Writes down, within the transaction in which the thing appears, that the upload has come to its end. */
  finished(id: string): Within;
  remove(id: string): Promise<void>;
  /** The ids of those to which nothing came for `ageMs`. */
  olderThan(ageMs: number): Promise<readonly string[]>;
}

/** The {@link UploadStore} of a database. */
export function createUploadStore(database: StorageDatabase): UploadStore {
  const { now } = database;
  return {
    insert: (upload, quota) =>
      database.write(async (transaction) => {
        const { creator: owner, size: adds } = upload;
        if (quota !== undefined) await requireRoom(transaction, { owner, quota, adds });
        return await transaction
          .insertInto('uploads')
          .values({ ...upload, received: 0, touched_at: now, finished_at: null })
          .returningAll()
          .executeTakeFirstOrThrow();
      }),
    find: (id) => database.read.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirst(),
    advance: (before, received) =>
      database.write(async (transaction) => {
        const row = await transaction
          .updateTable('uploads')
          .set({ received, touched_at: now })
          .where('id', '=', before.id)
          .where('received', '=', before.received)
          .returningAll()
          .executeTakeFirst();
        if (row !== undefined) return row;
        throw new PlatformError(
          'wrong_state',
          'Somebody else went on with this upload meanwhile: ask for its offset.',
        );
      }),
    finished: (id) => async (transaction) => {
      await transaction.updateTable('uploads').set({ finished_at: now }).where('id', '=', id).execute();
    },
    remove: (id) =>
      database.write(async (transaction) => {
        await transaction.deleteFrom('uploads').where('id', '=', id).execute();
      }),
    olderThan: async (ageMs) => {
      const rows = await database.read
        .selectFrom('uploads')
        .select('id')
        .where(({ eb }) => eb(eb(eb.ref('touched_at'), '+', ageMs), '<', now))
        .execute();
      return rows.map(({ id }) => id);
    },
  };
}
