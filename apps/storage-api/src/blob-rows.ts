import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { StoredBlob } from './blob-store/index.ts';
import type { StorageSchema } from './schema.ts';

/**
 * Writes down, within a transaction, that a blob is there; done again it changes nothing. Until the transaction ends
 * nobody else lets go of it. `others` are the blobs that the transaction lets go of afterwards: whoever takes several
 * takes them in the order of their digests, so that nobody waits for somebody who waits for them.
 */
export async function holdBlob(
  transaction: Kysely<StorageSchema>,
  now: RawBuilder<number>,
  { digest, size }: StoredBlob,
  others: readonly string[] = [],
): Promise<void> {
  await takeBlobs(
    transaction,
    others.filter((other) => other < digest),
  );
  await transaction
    .insertInto('blobs')
    .values({ sha256: digest, size, stored_at: now })
    // Not `do nothing`, which would not hold the row that is there.
    .onConflict((conflict) =>
      conflict.column('sha256').doUpdateSet((row) => ({ stored_at: row.ref('blobs.stored_at') })),
    )
    .execute();
  await takeBlobs(
    transaction,
    others.filter((other) => other > digest),
  );
}

/** Takes the rows of blobs for this transaction, in the order of their digests. */
async function takeBlobs(transaction: Kysely<StorageSchema>, digests: readonly string[]): Promise<void> {
  if (digests.length === 0) return;
  await transaction
    .selectFrom('blobs')
    .select('sha256')
    .where('sha256', 'in', [...new Set(digests)])
    .orderBy('sha256')
    .forUpdate()
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
  // First, so that what the next statement sees of references is what was committed by whoever held the rows.
  await takeBlobs(transaction, digests);
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

/** The blobs that nothing refers to; of what is staged only that counts for which `counts` holds. */
export async function unheldBlobs(
  read: Kysely<StorageSchema>,
  counts: RawBuilder<unknown> = sql`1 = 1`,
): Promise<StoredBlob[]> {
  const { rows } = await sql<{ digest: string; size: number | string }>`
    select sha256 as digest, size from blobs
    where not exists (select 1 from resources where resources.sha256 = blobs.sha256)
      and not exists (select 1 from staged where staged.sha256 = blobs.sha256 and ${counts})
  `.execute(read);
  return rows.map(({ digest, size }) => ({ digest, size: Number(size) }));
}

/** True where a blob is there for readers. */
export async function hasBlob(read: Kysely<StorageSchema>, digest: string): Promise<boolean> {
  const row = await read.selectFrom('blobs').select('sha256').where('sha256', '=', digest).executeTakeFirst();
  return row !== undefined;
}
