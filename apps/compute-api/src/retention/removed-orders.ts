import { sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { RemovedOrderRow } from '../db/schema.ts';

/** What is left of an order that was removed; undefined where there was none, or it is forgotten by now. */
export async function findRemoved(
  { db }: { readonly db: ComputeDatabase['read'] },
  id: string,
): Promise<RemovedOrderRow | undefined> {
  return await db.selectFrom('removed_orders').selectAll().where('id', '=', id).executeTakeFirst();
}

/** What is left of those of the ids that are orders which were removed; see {@link findRemoved}. */
export async function removedOf(
  { db }: { readonly db: ComputeDatabase['read'] },
  ids: readonly string[],
): Promise<RemovedOrderRow[]> {
  if (ids.length === 0) return [];
  return await db.selectFrom('removed_orders').selectAll().where('id', 'in', ids).execute();
}

/** Notes that orders are removed, which this transaction has locked. */
export async function noteRemoved({ db, now }: Tx, ids: readonly string[]): Promise<void> {
  await sql`
    insert into removed_orders (id, identity, removed_at)
    select id, identity, ${now} from orders where id in (${sql.join(ids)})
    on conflict (id) do nothing`.execute(db);
}

/** Forgets at most `most` of the orders that were removed before a time; returns how many they were. */
export async function forgetRemoved({ db }: Tx, before: number, most: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('removed_orders')
    .where('id', 'in', (rows) =>
      rows
        .selectFrom('removed_orders')
        .select('id')
        .where('removed_at', '<', before)
        .orderBy('removed_at')
        .limit(most),
    )
    .executeTakeFirst();
  return Number(numDeletedRows);
}
