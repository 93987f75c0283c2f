import type { Kysely, RawBuilder } from 'kysely';
import type { StoredBlob } from './blob-store/index.ts';
import type { StorageSchema } from './schema.ts';

/** Writes down, within a transaction, that a blob is there; done again it changes nothing. */
export async function holdBlob(
  transaction: Kysely<StorageSchema>,
  now: RawBuilder<number>,
  { digest, size }: StoredBlob,
): Promise<void> {
  await transaction
    .insertInto('blobs')
    .values({ sha256: digest, size, stored_at: now })
    .onConflict((conflict) => conflict.column('sha256').doNothing())
    .execute();
}

/**
 * Forgets, within a transaction, those of the blobs that nothing refers to any more. Returns their digests: their
 * files may be removed once the transaction is committed.
 */
export async function letGoOfBlobs(
  transaction: Kysely<StorageSchema>,
  digests: readonly string[],
): Promise<string[]> {
  if (digests.length === 0) return [];
  const gone = await transaction
    .deleteFrom('blobs')
    .where('sha256', 'in', [...new Set(digests)])
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('resources').select('uuid').whereRef('resources.sha256', '=', 'blobs.sha256'))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('staged').select('uuid').whereRef('staged.sha256', '=', 'blobs.sha256'))),
    )
    .returning('sha256')
    .execute();
  return gone.map(({ sha256 }) => sha256);
}

/** True where a blob is there for readers. */
export async function hasBlob(read: Kysely<StorageSchema>, digest: string): Promise<boolean> {
  const row = await read.selectFrom('blobs').select('sha256').where('sha256', '=', digest).executeTakeFirst();
  return row !== undefined;
}
