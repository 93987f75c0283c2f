import { PlatformError, type Produced, type ResourceType } from '@morpheo/common';
import type { StorageTransaction } from '../metadata/schema.ts';
import { type Named, typesOf } from '../permissions/grants.ts';

/** An id that an order will make something of. */
export interface Reservation extends Produced {
  readonly order: string;
  readonly owner: string;
}

/**
 * Keeps ids free for the results of orders, within a transaction that has no thing yet. Returns the orders whose id is
 * taken: by something that is there, by another order, or by somebody who had it before.
 */
export async function reserveIds(
  transaction: StorageTransaction,
  reservations: readonly Reservation[],
): Promise<ReadonlySet<string>> {
  if (reservations.length === 0) return new Set();
  const sorted = reservations.toSorted((a, b) => (a.type + a.uuid < b.type + b.uuid ? -1 : 1));
  const firsts = new Map(sorted.map((one) => [keyOf(one), one] as const).reverse());
  const values = [...firsts.values()]
    .reverse()
    .map(({ type, uuid, order }) => ({ type, uuid, order_id: order }));
  const rows = await transaction
    .insertInto('reserved_ids')
    .values(values)
    .onConflict((conflict) =>
      conflict
        .columns(['type', 'uuid'])
        .doUpdateSet((row) => ({ order_id: row.ref('reserved_ids.order_id') })),
    )
    .returningAll()
    .execute();
  const holders = new Map(rows.map((row) => [keyOf(row), row.order_id]));
  const there = new Set((await rowsOf(transaction, 'resources', values)).map(keyOf));
  const before = new Map(
    (await rowsOf(transaction, 'former_ids', values)).map((row) => [keyOf(row), row.owner] as const),
  );
  const lost = sorted.filter((one) => {
    const key = keyOf(one);
    return holders.get(key) !== one.order || there.has(key) || (before.get(key) ?? one.owner) !== one.owner;
  });
  return new Set(lost.map(({ order }) => order));
}

async function rowsOf(
  transaction: StorageTransaction,
  table: 'resources' | 'former_ids',
  named: readonly Named[],
) {
  return await transaction
    .selectFrom(table)
    .select(['type', 'uuid', 'owner'])
    .where('type', 'in', typesOf(named))
    .where(
      'uuid',
      'in',
      named.map(({ uuid }) => uuid),
    )
    .execute();
}

/**
 * Writes down, within a transaction and before they are given up, whose the ids are that are kept for orders without a
 * result: when these orders are begun again nobody else has them. Those of orders of nobody known are not.
 */
export async function keepReservedIds(
  transaction: StorageTransaction,
  orders: readonly string[],
): Promise<void> {
  if (orders.length === 0) return;
  const rows = await transaction
    .selectFrom('reserved_ids')
    .innerJoin('pins', 'pins.order_id', 'reserved_ids.order_id')
    .select(['reserved_ids.type', 'reserved_ids.uuid', 'pins.owner'])
    .where('reserved_ids.order_id', 'in', [...orders])
    .where('pins.owner', '!=', '')
    .orderBy('reserved_ids.uuid')
    .execute();
  if (rows.length === 0) return;
  await transaction
    .insertInto('former_ids')
    .values(rows)
    // An id that is there is that of the same owner: no other order could reserve it.
    .onConflict((conflict) => conflict.columns(['type', 'uuid']).doNothing())
    .execute();
}

/** Gives the ids up that are kept for orders, within a transaction. */
export async function freeIds(transaction: StorageTransaction, orders: readonly string[]): Promise<void> {
  if (orders.length === 0) return;
  await transaction
    .deleteFrom('reserved_ids')
    .where('order_id', 'in', [...orders])
    .execute();
}

/** The order that an id is kept for; undefined where it is free. */
export async function reservedFor(
  read: StorageTransaction,
  type: ResourceType,
  uuid: string,
): Promise<string | undefined> {
  const row = await read
    .selectFrom('reserved_ids')
    .select('order_id')
    .where('type', '=', type)
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  return row?.order_id;
}

/**
 * Throws `conflict` where an id is kept for the result of an order; until the transaction ends nobody reserves it. Call
 * it before anything else is taken.
 */
export async function refuseReserved(
  transaction: StorageTransaction,
  type: ResourceType,
  uuid: string,
): Promise<void> {
  // The row of who stores a thing never shows to others: it makes who reserves the id wait, and the other way round.
  const { numInsertedOrUpdatedRows: inserted } = await transaction
    .insertInto('reserved_ids')
    .values({ type, uuid, order_id: '' })
    .onConflict((conflict) => conflict.columns(['type', 'uuid']).doNothing())
    .executeTakeFirst();
  if (inserted === 0n) throw reserved(type, uuid);
  await transaction.deleteFrom('reserved_ids').where('type', '=', type).where('uuid', '=', uuid).execute();
}

/** What is thrown where an id is kept for the result of an order. */
export function reserved(type: ResourceType, uuid: string): PlatformError {
  return new PlatformError(
    'conflict',
    `The id ${uuid} is kept for the ${type} that an order makes: choose another, or none.`,
  );
}

function keyOf({ type, uuid }: { readonly type: string; readonly uuid: string }): string {
  return `${type} ${uuid}`;
}
