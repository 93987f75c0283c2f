import { sql } from 'kysely';
import type { StorageDatabase, StorageTransaction } from '../metadata/schema.ts';
import { freeIds } from './reserved.ts';
import { releaseSets } from './sets.ts';
import type { PinRow } from './tables.ts';

/** What is pinned for an order, held for this transaction; undefined where nothing ever was. Call it first of all. */
export async function lockPin(transaction: StorageTransaction, order: string): Promise<PinRow | undefined> {
  return await transaction
    .selectFrom('pins')
    .selectAll()
    .where('order_id', '=', order)
    .forUpdate()
    .executeTakeFirst();
}

/**
 * Lets go of what is pinned for orders whose rows the transaction holds, and notes that it has: what is asked for the
 * same round later is stale. Returns the digests of what nothing may refer to since.
 */
export async function releasePins(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  orders: readonly string[],
): Promise<string[]> {
  if (orders.length === 0) return [];
  await freeIds(transaction, orders);
  const digests = await releaseSets(transaction, orders);
  await transaction
    .updateTable('pins')
    .set({ released_at: now })
    .where('order_id', 'in', [...orders])
    .where('released_at', 'is', null)
    .execute();
  return digests;
}

/** As {@link lockPin}; where there is no row it is made, so that nobody pins the order meanwhile. */
export async function takePin(
  transaction: StorageTransaction,
  order: string,
  round: number,
): Promise<PinRow> {
  return await transaction
    .insertInto('pins')
    .values({ order_id: order, round })
    .onConflict((conflict) =>
      conflict.column('order_id').doUpdateSet((row) => ({ order_id: row.ref('excluded.order_id') })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Notes that this round of an order is the last that has ended, where it may never have been pinned. */
export async function noteRound(
  transaction: StorageTransaction,
  order: string,
  round: number,
): Promise<void> {
  await transaction.updateTable('pins').set({ round }).where('order_id', '=', order).execute();
}

/** Forgets, within a transaction, the `most` orders that were released first, more than `ageMs` ago; says how many. */
export async function forgetReleased(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  ageMs: number,
  most: number,
): Promise<number> {
  const isOld = sql<boolean>`released_at < ${now} - ${sql.lit(ageMs)}`;
  // Looked at once more for each: an order may have been pinned again while its row was waited for.
  const { rows } = await sql`
    delete from pins where ${isOld} and order_id in (
      select order_id from pins where ${isOld} order by released_at limit ${sql.lit(most)}
    ) returning order_id
  `.execute(transaction);
  return rows.length;
}

/** Releases, within a transaction, `most` orders at the most whose time is over; says how many. */
export async function releaseExpired(
  transaction: StorageTransaction,
  now: StorageDatabase['now'],
  most: number,
): Promise<number> {
  const rows = await transaction
    .selectFrom('pins')
    .select('order_id')
    .where('expires_at', 'is not', null)
    .where('released_at', 'is', null)
    .where('expires_at', '<=', now)
    .orderBy('order_id')
    .limit(most)
    .forUpdate()
    .execute();
  await releasePins(
    transaction,
    now,
    rows.map(({ order_id }) => order_id),
  );
  return rows.length;
}
