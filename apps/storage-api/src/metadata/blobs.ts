import { setImmediate } from 'node:timers/promises';
import type { ResourceType } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { StoredBlob } from '../blobs/index.ts';
import type { StorageDatabase, StorageTransaction } from './schema.ts';

/**
 * Writes down, within a transaction, that a blob is there; done again it changes nothing. Until the transaction ends
 * nobody else lets go of it. `others` are the blobs that the transaction lets go of afterwards: whoever takes several
 * takes them in the order of their digests, so that nobody waits for somebody who waits for them.
 */
export async function recordBlob(
  transaction: StorageTransaction,
  now: RawBuilder<number>,
  { digest, size }: StoredBlob,
  others: readonly string[] = [],
): Promise<void> {
  await lockBlobs(
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
  await lockBlobs(
    transaction,
    others.filter((other) => other > digest),
  );
}

/** So many digests are in one statement: what an order names may be more than an engine takes. */
const MOST_DIGESTS = 10_000;

/** Takes the rows of blobs for this transaction, in the order of their digests. */
async function lockBlobs(transaction: StorageTransaction, digests: readonly string[]): Promise<void> {
  for (const some of inTurn(digests))
    await transaction
      .selectFrom('blobs')
      .select('sha256')
      .where('sha256', 'in', some)
      .orderBy('sha256')
      .forUpdate()
      .execute();
}

/** Digests in their order, each once, in pieces. */
function inTurn(digests: readonly string[]): string[][] {
  const sorted = [...new Set(digests)].toSorted((a, b) => (a < b ? -1 : 1));
  return Array.from({ length: Math.ceil(sorted.length / MOST_DIGESTS) }, (_, index) =>
    sorted.slice(index * MOST_DIGESTS, (index + 1) * MOST_DIGESTS),
  );
}

/**
 * Forgets, within a transaction, those of the blobs that nothing refers to any more. Returns their digests: their
 * files may be removed once the transaction is committed.
 */
export async function forgetBlobs(
  transaction: StorageTransaction,
  digests: readonly string[],
): Promise<string[]> {
  // First, so that what the next statement sees of references is what was committed by whoever held the rows.
  await lockBlobs(transaction, digests);
  const forgotten: string[] = [];
  for (const some of inTurn(digests)) {
    const gone = await transaction
      .deleteFrom('blobs')
      .where('sha256', 'in', some)
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('resources').select('uuid').whereRef('resources.sha256', '=', 'blobs.sha256'))),
      )
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('staged').select('uuid').whereRef('staged.sha256', '=', 'blobs.sha256'))),
      )
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('pinned').select('uuid').whereRef('pinned.sha256', '=', 'blobs.sha256'))),
      )
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('checkpoints').select('order_id').whereRef('checkpoints.sha256', '=', 'blobs.sha256'),
          ),
        ),
      )
      .returning('sha256')
      .execute();
    for (const { sha256 } of gone) forgotten.push(sha256);
  }
  return forgotten;
}

/** So many blobs are looked at in one statement: some milliseconds, in which nobody else is served. */
const LOOKED_AT = 1000;

/** How {@link unreferencedBlobs} looks. */
export interface Look {
  /** Which of what is staged counts; all where absent. */
  readonly counts?: RawBuilder<unknown> | undefined;
  /** Ends the look between two pages. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The blobs that nothing refers to, page by page in the order of their digests, outside of any transaction: between
 * two pages others are served, and may refer to what was named. Rejects with the reason of the signal.
 */
export async function* unreferencedBlobs(
  read: StorageTransaction,
  { counts = sql`1 = 1`, signal }: Look = {},
): AsyncGenerator<StoredBlob[]> {
  for (let after = ''; ; await setImmediate()) {
    signal?.throwIfAborted();
    const last = await read
      .selectFrom('blobs')
      .select('sha256')
      .where('sha256', '>', after)
      .orderBy('sha256')
      .limit(1)
      .offset(LOOKED_AT - 1)
      .executeTakeFirst();
    const page =
      last === undefined ? sql`sha256 > ${after}` : sql`sha256 > ${after} and sha256 <= ${last.sha256}`;
    const { rows } = await sql<{ digest: string; size: number | string }>`
      select sha256 as digest, (select size from blobs where blobs.sha256 = looked.sha256) as size from (
        select sha256 from blobs where ${page} order by sha256 limit ${sql.lit(LOOKED_AT)}
      ) as looked
      where not exists (select 1 from resources where resources.sha256 = looked.sha256)
        and not exists (select 1 from pinned where pinned.sha256 = looked.sha256)
        and not exists (select 1 from checkpoints where checkpoints.sha256 = looked.sha256)
        and not exists (select 1 from staged where staged.sha256 = looked.sha256 and ${counts})
    `.execute(read);
    if (rows.length > 0) yield rows.map(({ digest, size }) => ({ digest, size: Number(size) }));
    if (last === undefined) return;
    after = last.sha256;
  }
}

/** Which of the blobs are there for readers. */
export async function recordedAmong(
  read: StorageTransaction,
  digests: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await read
    .selectFrom('blobs')
    .select('sha256')
    .where('sha256', 'in', [...digests])
    .execute();
  return new Set(rows.map(({ sha256 }) => sha256));
}

/** True where a blob is there for readers. */
export async function hasBlob(read: StorageTransaction, digest: string): Promise<boolean> {
  const row = await read.selectFrom('blobs').select('sha256').where('sha256', '=', digest).executeTakeFirst();
  return row !== undefined;
}

/** Whose blob something is, and as what. */
export interface OwnBlob {
  readonly type: ResourceType;
  readonly owner: string;
}

/** True where an owner has a blob as a resource of this type. */
export async function hasOwnBlob(
  read: StorageTransaction,
  { type, owner }: OwnBlob,
  digest: string,
): Promise<boolean> {
  const row = await read
    .selectFrom('resources')
    .select('uuid')
    .where('sha256', '=', digest)
    .where('type', '=', type)
    .where('owner', '=', owner)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** True where a blob is marked as damaged: it has other bytes than its digest says. */
export async function isDamaged(read: StorageTransaction, digest: string): Promise<boolean> {
  const row = await read
    .selectFrom('blobs')
    .select('damaged_at')
    .where('sha256', '=', digest)
    .executeTakeFirst();
  return (row?.damaged_at ?? null) !== null;
}

/** Marks a blob as damaged, or takes the mark away; false where that changes nothing, or there is no such blob. */
export async function markDamaged(
  database: StorageDatabase,
  digest: string,
  damaged: boolean,
): Promise<boolean> {
  return await database.write(async (transaction) => {
    const { numUpdatedRows } = await transaction
      .updateTable('blobs')
      .set({ damaged_at: damaged ? database.now : null })
      .where('sha256', '=', digest)
      .where('damaged_at', damaged ? 'is' : 'is not', null)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  });
}
