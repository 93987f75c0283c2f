import { PlatformError, type Search } from '@morpheo/common';
import type { Running, Trial } from '@morpheo/search';
import { sql } from 'kysely';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { SearchRow, SearchRunRow } from '../db/schema.ts';

/** The posted search of a row. What is in the table was checked before it was written. */
export function searchOf({ spec }: Pick<SearchRow, 'spec'>): Search {
  return JSON.parse(spec) as Search;
}

/** A search, locked for this transaction; undefined where there is none. */
export async function takeSearch({ db }: Tx, id: string): Promise<SearchRow | undefined> {
  return await db.selectFrom('searches').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

/** The row of a search. Throws `not_found`. */
export async function searchRow({ read }: Pick<ComputeDatabase, 'read'>, id: string): Promise<SearchRow> {
  const row = await read.selectFrom('searches').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw noSearch(id);
  return row;
}

/** What is told of a search that is not there, or that the caller may not see. */
export function noSearch(id: string): PlatformError {
  return new PlatformError('not_found', `There is no search ${id}.`);
}

/** All that a search has done so far: its trials with their results, and its runs, oldest first. */
export interface Past {
  readonly trials: Trial[];
  readonly runs: SearchRunRow[];
}

/** Reads it. */
export async function pastOf(db: Tx['db'] | ComputeDatabase['read'], id: string): Promise<Past> {
  const trials = await db
    .selectFrom('search_trials')
    .selectAll()
    .where('search_id', '=', id)
    .orderBy('number')
    .execute();
  const runs = await db
    .selectFrom('search_runs')
    .selectAll()
    .where('search_id', '=', id)
    .orderBy('n')
    .execute();
  return { trials: trialsOf(trials, runs), runs };
}

function trialsOf(
  rows: readonly { readonly number: number; readonly arm: Trial['arm']; readonly parameters: string }[],
  runs: readonly SearchRunRow[],
): Trial[] {
  const heard = runs.filter(({ told }) => told !== null);
  const byTrial = Map.groupBy(
    heard.toSorted((a, b) => Number(a.told) - Number(b.told)),
    ({ trial }) => trial,
  );
  return rows.map(({ number, arm, parameters }) => ({
    ...{ number, arm },
    // Written by ourselves.
    parameters: JSON.parse(parameters) as Trial['parameters'],
    rungs: (byTrial.get(number) ?? []).map(rungOf),
  }));
}

/** The result of a run of which the search has heard. */
export function rungOf({
  resource,
  value,
  failed,
  seconds,
}: Pick<SearchRunRow, 'resource' | 'value' | 'failed' | 'seconds'>): Trial['rungs'][number] {
  return {
    resource,
    ...(value === null ? {} : { value }),
    ...(failed === null ? {} : { failed }),
    ...(seconds === null ? {} : { seconds }),
  };
}

/** The runs that have begun and of which the search has not heard. */
export function runningIn(runs: readonly Pick<SearchRunRow, 'open' | 'trial' | 'resource'>[]): Running[] {
  return runs.flatMap(({ open, trial, resource }) => (open === 1 ? [{ trial, resource }] : []));
}

/**
 * Searches that may go on: an order of them has ended, or is not there any more, or they were to be looked at again by now.
 * Of the many that there are, some.
 */
export async function searchesToStep({ read, now }: ComputeDatabase, most: number): Promise<string[]> {
  const ended = read
    .selectFrom('search_runs')
    .leftJoin('orders', 'orders.id', 'search_runs.order_id')
    .select('search_runs.search_id as id')
    .distinct()
    // Written out, for the index of these alone.
    .where(sql<boolean>`search_runs.open = 1`)
    .where((row) =>
      row.or([row('orders.id', 'is', null), row('orders.status', 'in', ['done', 'failed', 'cancelled'])]),
    )
    .limit(most);
  const due = read
    .selectFrom('searches')
    .select('id')
    .where('due_at', 'is not', null)
    .where('due_at', '<=', now)
    .limit(most);
  const rows = [...(await ended.execute()), ...(await due.execute())];
  return [...new Set(rows.map(({ id }) => id))];
}
