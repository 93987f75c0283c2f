import { PlatformError, type Ticket } from '@morpheo/common';
import { sql } from 'kysely';
import type { StoredBlob } from '../blobs/index.ts';
import { forgetBlobs, recordBlob } from '../metadata/blobs.ts';
import type { StorageDatabase, StorageTransaction } from '../metadata/schema.ts';
import { requireCurrent } from '../pins/attempt.ts';
import { lockPin } from '../pins/release.ts';
import type { PinRow } from '../pins/tables.ts';
import { requireQuota } from '../quotas/check.ts';

/** What is known of the checkpoint of an order before another takes its place. */
export interface Former {
  readonly size: number;
  /** How long ago it was stored, in milliseconds. */
  readonly ageMs: number;
}

/** The checkpoint that the order of a ticket has; undefined where it has none. */
export async function formerCheckpoint(
  { read, now }: StorageDatabase,
  { order }: Ticket,
): Promise<Former | undefined> {
  const row = await read
    .selectFrom('checkpoints')
    .select(['size', sql<number | string>`${now} - stored_at`.as('age')])
    .where('order_id', '=', order)
    .executeTakeFirst();
  return row === undefined ? undefined : { size: row.size, ageMs: Number(row.age) };
}

/**
 * Throws `stale_attempt` where what the ticket's order has pinned is released, or a later attempt has begun, and hands
 * on what is pinned.
 */
export function requireLatest(head: PinRow | undefined, ticket: Ticket): PinRow {
  const current = requireCurrent(head, ticket);
  if (current.last_attempt <= ticket.attempt) return current;
  throw new PlatformError(
    'stale_attempt',
    `Attempt ${current.last_attempt} of order ${ticket.order} has begun: the checkpoints of attempt ${ticket.attempt} are of no use any more. Stop.`,
  );
}

/**
 * Puts a checkpoint in the place of the one before, in one transaction. Returns the digests that nothing refers to since.
 * Throws as {@link requireLatest} does, and `quota_exceeded` where the order's owner may not have as much.
 */
export async function storeCheckpoint(
  database: StorageDatabase,
  ticket: Ticket,
  blob: StoredBlob,
  quota: number | undefined,
): Promise<readonly string[]> {
  return await database.write(async (transaction) => {
    const head = await begin(transaction, ticket);
    const { order, attempt, pin } = ticket;
    const { owner } = head;
    const before = await transaction
      .selectFrom('checkpoints')
      .select(['sha256', 'size'])
      .where('order_id', '=', order)
      .executeTakeFirst();
    if (quota !== undefined)
      await requireQuota(transaction, { owner, quota, adds: blob.size - (before?.size ?? 0) });
    const replaced = before === undefined ? [] : [before.sha256];
    await recordBlob(transaction, database.now, blob, replaced);
    const values = { attempt, pin, sha256: blob.digest, size: blob.size, owner, stored_at: database.now };
    await transaction
      .insertInto('checkpoints')
      .values({ order_id: order, ...values })
      .onConflict((conflict) => conflict.column('order_id').doUpdateSet(values))
      .execute();
    return await forgetBlobs(transaction, replaced);
  });
}

/**
 * The blob of the latest checkpoint of the order of a ticket; undefined where it has none. From then on attempts before
 * that of the ticket bring none any more. Throws as {@link requireLatest} does.
 */
export async function takeCheckpoint(
  database: StorageDatabase,
  ticket: Ticket,
): Promise<StoredBlob | undefined> {
  return await database.write(async (transaction) => {
    await begin(transaction, ticket);
    const row = await transaction
      .selectFrom('checkpoints')
      .select(['sha256', 'size'])
      .where('order_id', '=', ticket.order)
      .where('pin', '=', ticket.pin)
      .executeTakeFirst();
    return row === undefined ? undefined : { digest: row.sha256, size: row.size };
  });
}

/**
 * Drops the checkpoint of an order that has ended, within a transaction that holds what is pinned for it. Returns the
 * digests of what nothing may refer to since.
 */
export async function dropCheckpoint(transaction: StorageTransaction, order: string): Promise<string[]> {
  const rows = await transaction
    .deleteFrom('checkpoints')
    .where('order_id', '=', order)
    .returning('sha256')
    .execute();
  return rows.map(({ sha256 }) => sha256);
}

/** Holds what is pinned for the order of a ticket, and notes that this attempt has begun. */
async function begin(transaction: StorageTransaction, ticket: Ticket): Promise<PinRow> {
  // First of all, as by whoever ends the order.
  const head = requireLatest(await lockPin(transaction, ticket.order), ticket);
  if (head.last_attempt < ticket.attempt)
    await transaction
      .updateTable('pins')
      .set({ last_attempt: ticket.attempt })
      .where('order_id', '=', ticket.order)
      .execute();
  return head;
}
