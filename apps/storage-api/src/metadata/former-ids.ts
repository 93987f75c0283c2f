import { PlatformError, type ResourceType } from '@morpheo/common';
import type { ResourceRow, StorageTransaction } from './schema.ts';

/** An id that somebody wants for something new. */
interface NewId {
  readonly type: ResourceType;
  readonly uuid: string;
  /** Who wants it; nobody knows where absent. */
  readonly owner?: string | undefined;
  /** Admins may use the former id of anybody. */
  readonly admin?: boolean | undefined;
}

/** Writes down, within a transaction, whose the id was that a thing gives up. */
export async function keepId(
  transaction: StorageTransaction,
  { type, uuid, owner }: ResourceRow,
): Promise<void> {
  await transaction
    .insertInto('former_ids')
    .values({ type, uuid, owner })
    .onConflict((conflict) => conflict.columns(['type', 'uuid']).doUpdateSet({ owner }))
    .execute();
}

/**
 * Throws `conflict` where an id was that of a thing of somebody else, which was deleted or renamed: orders that name it
 * would get another's bytes. Its former owner, and admins, may use it again.
 */
export async function refuseFormerId(
  read: StorageTransaction,
  { type, uuid, owner = '', admin = false }: NewId,
): Promise<void> {
  if (admin) return;
  const former = await read
    .selectFrom('former_ids')
    .select('owner')
    .where('type', '=', type)
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (former === undefined || (owner !== '' && former.owner === owner)) return;
  throw new PlatformError(
    'conflict',
    `[model] UUID ${uuid} was that of something else in table '${type}': choose another.`,
  );
}
