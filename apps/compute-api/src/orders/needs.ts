import { hash } from 'node:crypto';
import { type NamedTerms, PlatformError, termsOf } from '@morpheo/common';
import { sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import { shownOwner } from '../owners/owners.ts';

/**
 * What orders need is kept once for all that need the same: an order has its id, and the table `need_terms` its terms. So
 * a claim compares what its worker offers with each of the needs that wait, and not with each order.
 */

/** So many different needs the open orders of an owner may have: a claim looks at each that is due. */
export const MOST_NEEDS = 100;

/** The id of needs: the same for the same terms, and empty where nothing is needed. */
export function needsIdOf(needs: NamedTerms | undefined): string {
  const terms = termsOf(needs ?? {});
  if (terms.length === 0) return '';
  return hash('sha256', terms.join('\n'), 'hex').slice(0, 32);
}

/** Keeps the terms of what orders need, unless they are there. */
export async function keepNeeds(
  { db }: Pick<Tx, 'db'>,
  needs: readonly (NamedTerms | undefined)[],
): Promise<void> {
  const rows = new Map(
    needs.flatMap((one) => {
      const id = needsIdOf(one);
      return id === '' ? [] : termsOf(one ?? {}).map((term) => [`${id} ${term}`, { id, term }] as const);
    }),
  );
  if (rows.size === 0) return;
  await db
    .insertInto('need_terms')
    .values([...rows.keys()].toSorted((a, b) => (a < b ? -1 : 1)).flatMap((key) => rows.get(key) ?? []))
    .onConflict((conflict) => conflict.columns(['id', 'term']).doNothing())
    .execute();
}

/** The different needs that the open orders of an owner have, by id; of more than are allowed, one more. */
export async function openNeedsOf({ db }: Tx, owner: string): Promise<Set<string>> {
  const its = sql`owner = ${owner} and needs <> '' and status in ('waiting', 'todo', 'pending')`;
  // One look into the index for each of them, however many orders have them.
  const { rows } = await sql<{ needs: string }>`
    with recursive known (needs, n) as (
      select min(needs), 1 from orders where ${its}
      union all
      select (select min(needs) from orders where ${its} and orders.needs > known.needs), n + 1
      from known where known.needs is not null and n <= ${sql.lit(MOST_NEEDS)}
    ) select needs from known where needs is not null`.execute(db);
  return new Set(rows.map(({ needs }) => needs));
}

/** Why an owner whose open orders have as many different needs as are allowed may not have other ones: `invalid_order`. */
export function tooManyNeeds(owner: string): PlatformError {
  return new PlatformError(
    'invalid_order',
    `The open orders of ${shownOwner(owner)} have ${MOST_NEEDS} different needs, and may not have more. Give it needs that another open order has, or wait until some have ended.`,
  );
}
