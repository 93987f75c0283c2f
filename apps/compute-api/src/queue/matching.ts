import { ORDER_KINDS, type OrderKind } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';

/**
 * What orders need is compared with what workers offer: every term of the one has to be a term of the other. Of a worker
 * that is dedicated to some of its terms, these have to be terms of the order too.
 */

/**
 * Whether a worker is for orders of some needs: it offers all of them, and they name all that it is dedicated to. Both are
 * expressions, of an id each; the empty one is that of orders that need nothing.
 */
export function offersAll(worker: RawBuilder<unknown>, needs: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`not exists (
    select 1 from need_terms where need_terms.id = ${needs} and not exists (
      select 1 from offers where offers.worker = ${worker} and offers.term = need_terms.term))
    and not exists (
      select 1 from offers where offers.worker = ${worker} and offers.demanded = 1 and not exists (
        select 1 from need_terms where need_terms.id = ${needs} and need_terms.term = offers.term))`;
}

/** Whether a worker is for an order, which is a row of the query. */
export function offersToOrder(worker: string): RawBuilder<boolean> {
  return offersAll(sql`${worker}`, sql`orders.needs`);
}

/**
 * Tables of a query: `kinds (kind)`, and `waiting (kind, needs)`, the needs that due orders of these kinds have, and a row
 * with null at the end of each kind. One look into the index for each of them, however many orders have them.
 */
export function waitingNeeds(kinds: readonly OrderKind[] = ORDER_KINDS): RawBuilder<unknown> {
  return sql`
    kinds (kind) as (${sql.join(
      kinds.map((kind) => sql`select ${sql.lit(kind)}`),
      sql` union all `,
    )}), waiting (kind, needs) as (
      select kinds.kind, (
        select min(needs) from orders where status = 'todo' and orders.kind = kinds.kind)
      from kinds
      union all
      select waiting.kind, (
        select min(needs) from orders
        where status = 'todo' and orders.kind = waiting.kind and orders.needs > waiting.needs)
      from waiting where waiting.needs is not null
    )`;
}
