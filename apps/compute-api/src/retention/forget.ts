import { sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';

/**
 * Forgets groups that have no orders any more, and of which nobody has asked anything since a time, of at most `most`
 * that are as old; returns how many they were.
 */
export async function forgetGroups({ db }: Tx, before: number, most: number): Promise<number> {
  const idle = await db
    .selectFrom('order_groups')
    .select(['owner', 'name'])
    .where(isIdle(before))
    .where(isEmpty)
    .orderBy('created_at')
    .limit(most)
    .forUpdate()
    .skipLocked()
    .execute();
  if (idle.length === 0) return 0;
  // Once more, since whoever has placed an order had the group until this transaction took it.
  const keys = sql.join(idle.map(({ owner, name }) => sql`(${owner}, ${name})`));
  const { numDeletedRows } = await db
    .deleteFrom('order_groups')
    .where(sql<boolean>`(owner, name) in (values ${keys})`)
    .where(isEmpty)
    .executeTakeFirst();
  return Number(numDeletedRows);
}

/** How many removed orders, and groups without orders, are to be forgotten. */
export async function countForgettable(
  read: ComputeDatabase['read'],
  before: number,
): Promise<{ readonly ids: number; readonly groups: number }> {
  const ids = await read
    .selectFrom('removed_orders')
    .select((row) => row.fn.countAll<number>().as('n'))
    .where('removed_at', '<', before)
    .executeTakeFirstOrThrow();
  const groups = await read
    .selectFrom('order_groups')
    .select((row) => row.fn.countAll<number>().as('n'))
    .where(isIdle(before))
    .where(isEmpty)
    .executeTakeFirstOrThrow();
  return { ids: Number(ids.n), groups: Number(groups.n) };
}

function isIdle(before: number) {
  return sql<boolean>`created_at < ${before} and under_way = 0 and coalesce(asked_at, created_at) < ${before}`;
}

const isEmpty = sql<boolean>`not exists (
  select 1 from orders where orders.owner = order_groups.owner and orders.group_name = order_groups.name)`;
