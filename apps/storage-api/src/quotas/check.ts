import { PlatformError } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { StorageTransaction } from '../metadata/schema.ts';

/** Bytes that somebody is about to have. */
export interface Wanted {
  readonly owner: string;
  /** The most bytes that the owner may have. */
  readonly quota: number;
  readonly adds: number;
}

/**
 * Throws `quota_exceeded` where an owner would have more than the quota, within the transaction that adds the bytes.
 * Until that ends nobody else adds to what the owner has, so that uploads at once cannot pass the quota together.
 */
export async function requireQuota(transaction: StorageTransaction, wanted: Wanted): Promise<void> {
  if (wanted.adds <= 0) return;
  await holdOwner(transaction, wanted.owner);
  const used = await usedBy(transaction, wanted.owner);
  if (used + wanted.adds > wanted.quota) throw await quotaExceeded(transaction, wanted, used);
}

/** Holds an owner until the transaction ends: meanwhile nobody else decides what more the owner may have. */
export async function holdOwner(transaction: StorageTransaction, name: string): Promise<void> {
  await transaction
    .insertInto('resource_owners')
    .values({ name })
    // Not `do nothing`, which would not hold the row that is there.
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet((row) => ({ name: row.ref('resource_owners.name') })),
    )
    .execute();
}

/**
 * What an owner has in bytes, as if each thing were kept by itself: results that are not published yet and checkpoints included, and
 * resumable uploads that have not come to their end with all that they have announced.
 */
export async function usedBy(database: StorageTransaction, owner: string): Promise<number> {
  const { rows } = await sql<{ used: number | string }>`
    select (select coalesce(sum(size), 0) from resources where owner = ${owner})
      + (select coalesce(sum(size), 0) from staged where owner = ${owner})
      + (select coalesce(sum(size), 0) from checkpoints where owner = ${owner})
      + (select coalesce(sum(size), 0) from uploads where creator = ${owner} and finished_at is null) as used
  `.execute(database);
  return Number(rows[0]?.used ?? 0);
}

/** Whether something refers to the resource `r`: an algo that has models or results cannot be deleted. */
export const inUse = sql<boolean>`r.type = 'algo' and ${isNamed()}`;

/** Whether something names the algo `r`. */
export function isNamed(): RawBuilder<boolean> {
  return sql`(exists (select 1 from resources m where m.algo = r.uuid) or exists (select 1 from staged s where s.algo = r.uuid))`;
}

/** The error of an upload that would pass a quota: what is used, what may be, and what could be freed. */
export async function quotaExceeded(
  database: StorageTransaction,
  { owner, quota, adds }: Wanted,
  used: number,
): Promise<PlatformError> {
  const { rows } = await sql<{ bytes: number | string }>`
    select coalesce(sum(r.size), 0) as bytes from resources r where r.owner = ${owner} and not (${inUse})
  `.execute(database);
  const freeable = Number(rows[0]?.bytes ?? 0);
  return new PlatformError(
    'quota_exceeded',
    `${owner} has ${used} of ${quota} bytes, and ${adds} more would be too many; uploads and results that have not come to their end count as well. ` +
      `Nothing refers to ${freeable} bytes of what ${owner} has: delete some of that, or ask for a larger quota.`,
    { details: { owner, used, quota, wanted: adds, freeable } },
  );
}
