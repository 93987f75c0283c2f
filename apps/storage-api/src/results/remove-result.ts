import { PlatformError } from '@morpheo/common';
import { removeLocked } from '../metadata/resources.ts';
import type { ResourceRow, StorageDatabase, StorageTransaction } from '../metadata/schema.ts';

/**
 * Removes what an order has made by an attempt up to `attempt` (any where absent) and was published, in one transaction, and returns the digests that nothing refers to
 * since. What somebody else stored under its id since is not that. Throws `not_found` where nothing is left of it, and
 * `in_use` while an order that has not ended names it.
 */
export async function removeResult(
  database: StorageDatabase,
  order: string,
  attempt?: number,
): Promise<readonly string[]> {
  return await database.write(async (transaction) => {
    const row = await transaction
      .selectFrom('resources')
      .selectAll()
      .where('order_id', '=', order)
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined || isLater(row, attempt))
      throw new PlatformError('not_found', `There is no result of order ${order}.`);
    await refuseWhilePinned(transaction, row);
    return await removeLocked(transaction, row);
  });
}

function isLater(row: Pick<ResourceRow, 'attempt'>, attempt: number | undefined): boolean {
  return attempt !== undefined && row.attempt !== null && row.attempt > attempt;
}

async function refuseWhilePinned(
  transaction: StorageTransaction,
  { type, uuid }: Pick<ResourceRow, 'type' | 'uuid'>,
): Promise<void> {
  const pin = await transaction
    .selectFrom('pinned')
    .innerJoin('pin_members', 'pin_members.set_id', 'pinned.set_id')
    .select('pin_members.order_id')
    .where('pinned.uuid', '=', uuid)
    .where('pinned.type', '=', type)
    .limit(1)
    .executeTakeFirst();
  if (pin === undefined) return;
  throw new PlatformError(
    'in_use',
    `The ${type} ${uuid} is in use by the order ${pin.order_id}: let that order end first.`,
  );
}
