import { createHash } from 'node:crypto';
import { type NamedTerms, PlatformError, termsOf } from '@morpheo/common';
import { sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { shownOwner } from '../owners/owners.ts';

/**
 * What orders need is kept once for all that need the same: an order has its id, and the table `need_terms` its terms. So
 * a claim compares what its worker offers with each of the needs that wait, and not with each order.
 */

/** So many different needs the open orders of an owner may have: a claim looks at each that is due. */
const MOST_NEEDS = 100;

/** The id of needs: the same for the same terms, and empty where nothing is needed. */
export function needsIdOf(needs: NamedTerms | undefined): string {
  const terms = termsOf(needs ?? {});
  if (terms.length === 0) return '';
  return createHash('sha256').update(terms.join('\n')).digest('hex').slice(0, 32);
}

/** Keeps the terms of what an order needs, unless they are there. */
export async function keepNeeds({ db }: Pick<Tx, 'db'>, needs: NamedTerms | undefined): Promise<void> {
  const id = needsIdOf(needs);
  if (id === '') return;
  const rows = termsOf(needs ?? {}).map((term) => ({ id, term }));
  await db
    .insertInto('need_terms')
    .values(rows)
    .onConflict((conflict) => conflict.columns(['id', 'term']).doNothing())
    .execute();
}

/** Throws `invalid_order` where the open orders of the owner of one that was just added have too many different needs. */
export async function boundNeeds(
  { db }: Tx,
  { owner, needs }: Pick<OrderRow, 'owner' | 'needs'>,
): Promise<void> {
  if (needs === '') return;
  const its = sql`owner = ${owner} and needs <> '' and status in ('waiting', 'todo', 'pending')`;
  // One look into the index for each of them, however many orders have them.
  const { rows } = await sql<{ needs: number }>`
    with recursive known (needs, n) as (
      select min(needs), 1 from orders where ${its}
      union all
      select (select min(needs) from orders where ${its} and orders.needs > known.needs), n + 1
      from known where known.needs is not null and n <= ${sql.lit(MOST_NEEDS)}
    ) select count(needs) as needs from known`.execute(db);
  if (Number(rows[0]?.needs) <= MOST_NEEDS) return;
  throw new PlatformError(
    'invalid_order',
    `The open orders of ${shownOwner(owner)} have ${MOST_NEEDS} different needs, and may not have more. Give it needs that another open order has, or wait until some have ended.`,
  );
}
