import { hasBlob } from '../blob-rows.ts';
import type { StorageDatabase } from '../schema.ts';

/** Which blobs are known to have other bytes than their name says. */
export interface DamagedBlobs {
  isDamaged(digest: string): Promise<boolean>;
  /** True where there is such a blob, damaged or not. */
  isKnown(digest: string): Promise<boolean>;
  /** Marks a blob; false where it is marked already, or is none any more. */
  mark(digest: string): Promise<boolean>;
  /** Takes the mark away; false where there is none. */
  heal(digest: string): Promise<boolean>;
}

/** The {@link DamagedBlobs} of a database. */
export function createDamagedBlobs(database: StorageDatabase): DamagedBlobs {
  return {
    isDamaged: async (digest) => {
      const row = await database.read
        .selectFrom('blobs')
        .select('damaged_at')
        .where('sha256', '=', digest)
        .executeTakeFirst();
      return (row?.damaged_at ?? null) !== null;
    },
    isKnown: (digest) => hasBlob(database.read, digest),
    mark: (digest) =>
      database.write(async (transaction) => {
        const { numUpdatedRows } = await transaction
          .updateTable('blobs')
          .set({ damaged_at: database.now })
          .where('sha256', '=', digest)
          .where('damaged_at', 'is', null)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      }),
    heal: (digest) =>
      database.write(async (transaction) => {
        const { numUpdatedRows } = await transaction
          .updateTable('blobs')
          .set({ damaged_at: null })
          .where('sha256', '=', digest)
          .where('damaged_at', 'is not', null)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      }),
  };
}
