import { MOST_GROUP_ORDERS, PlatformError } from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderGroupRow } from '../db/schema.ts';
import { shownOwner } from '../owners/owners.ts';

/** Which group: two owners' groups of one name are two. `owner` as it is kept. */
export type GroupKey = Pick<OrderGroupRow, 'owner' | 'name'>;

/**
 * The group, locked for this transaction: it is made where it is not there. Whoever takes orders as well takes them
 * afterwards.
 */
export async function takeGroup({ db, now }: Tx, { owner, name }: GroupKey): Promise<OrderGroupRow> {
  return await db
    .insertInto('order_groups')
    .values({ owner, name, created_at: now, posted: 0, under_way: 0 })
    .onConflict((conflict) =>
      // Changes nothing, but locks the row.
      conflict.columns(['owner', 'name']).doUpdateSet((row) => ({ posted: row.ref('order_groups.posted') })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** How many more orders a group may have. Its number is a bound for ever: who has ended counts too. */
export function roomIn({ asked, posted }: Pick<OrderGroupRow, 'asked' | 'posted'>): number {
  return asked === 'cancel' ? 0 : Math.max(0, MOST_GROUP_ORDERS - posted);
}

/** Why a group without room takes in no more orders: it was cancelled, or ever had as many as it may (`wrong_state`). */
export function noRoomIn({ owner, name, asked }: OrderGroupRow): PlatformError {
  const why =
    asked === 'cancel'
      ? 'was cancelled, and takes in no more orders. Retry the group, or name another.'
      : `has had ${MOST_GROUP_ORDERS} orders, as many as a group may have. Name another.`;
  return new PlatformError('wrong_state', `The group ${name} of ${shownOwner(owner)} ${why}`);
}

/**
 * Notes how many orders were ever placed in a group that this transaction has locked; one that was made for orders of
 * which none was placed goes again.
 */
export async function countPosted({ db }: Tx, { owner, name, posted }: OrderGroupRow): Promise<void> {
  const its = { owner, name };
  if (posted === 0) {
    await db
      .deleteFrom('order_groups')
      .where(({ and }) => and(its))
      .execute();
  } else {
    await db
      .updateTable('order_groups')
      .set({ posted })
      .where(({ and }) => and(its))
      .execute();
  }
}

/** The row of a group. Throws `not_found`. */
export async function groupRow(
  { read }: Pick<ComputeDatabase, 'read'>,
  key: GroupKey,
): Promise<OrderGroupRow> {
  const row = await read
    .selectFrom('order_groups')
    .selectAll()
    .where('owner', '=', key.owner)
    .where('name', '=', key.name)
    .executeTakeFirst();
  if (row === undefined) throw noGroup(key);
  return row;
}

/** What is told of a group that is not there, or that the caller may not see. */
export function noGroup({ owner, name }: GroupKey): PlatformError {
  return new PlatformError('not_found', `There is no group ${name} of ${shownOwner(owner)}.`);
}

/** Notes what is asked of all orders of a group; what was asked before, and is still under way, stops. Throws `not_found`. */
export async function askOfGroup(
  { db, now }: Tx,
  key: GroupKey,
  asked: NonNullable<OrderGroupRow['asked']>,
  by: string,
): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('order_groups')
    .set({ asked, asked_by: by, asked_at: now, under_way: 1 })
    .where('owner', '=', key.owner)
    .where('name', '=', key.name)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw noGroup(key);
}

/**
 * A group of which something is asked that is still under way, locked for this transaction: the one of `key`, or where
 * that is absent the one that has waited longest of those that nobody else is at. Undefined where there is none.
 */
export async function takeUnderWay(
  { db }: Tx,
  key: GroupKey | undefined,
): Promise<OrderGroupRow | undefined> {
  // Written out, for the index of these alone.
  const found = db.selectFrom('order_groups').selectAll().where(sql<boolean>`under_way = 1`);
  if (key === undefined)
    return await found.orderBy('asked_at').limit(1).forUpdate().skipLocked().executeTakeFirst();
  return await found
    .where('owner', '=', key.owner)
    .where('name', '=', key.name)
    .forUpdate()
    .executeTakeFirst();
}

/** What was asked of a group has been carried out. */
export async function settleGroup({ db }: Tx, { owner, name }: GroupKey): Promise<void> {
  await db
    .updateTable('order_groups')
    .set({ under_way: 0 })
    .where('owner', '=', owner)
    .where('name', '=', name)
    .execute();
}
