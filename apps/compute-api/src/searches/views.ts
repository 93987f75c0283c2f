import {
  type BestTrial,
  MOST_COUNTED,
  PAGE,
  PlatformError,
  type RungView,
  SEARCH_ARMS,
  type SearchArm,
  type SearchSummary,
  type SearchView,
  type TrialView,
} from '@morpheo/common';
import { sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';
import { type Counted, upTo } from '../db/ranges.ts';
import type { SearchRow, SearchRunRow } from '../db/schema.ts';
import { time } from '../orders/views.ts';
import { shownOwner } from '../owners/owners.ts';
import { searchOf } from './store.ts';
import { groupOf } from './template.ts';

type Read = ComputeDatabase['read'];

/** The query of a page. */
interface Paged {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** A page of an owner's searches, newest first. Throws `invalid_request` for a cursor that is not one of ours. */
export async function listSearches(
  { read }: ComputeDatabase,
  owner: string,
  query: Paged,
): Promise<{ items: SearchSummary[]; next?: string } & Counted> {
  const limit = query.limit ?? PAGE.usual;
  const after = query.cursor === undefined ? undefined : readCursor(query.cursor);
  const found = await read
    .selectFrom('searches')
    .selectAll()
    .where('owner', '=', owner)
    .where((row) =>
      after === undefined
        ? row.lit(true)
        : row(row.refTuple('created_at', 'id'), '<', row.tuple(after.at, after.id)),
    )
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const all = read
    .selectFrom('searches')
    .select('id')
    .where('owner', '=', owner)
    .limit(MOST_COUNTED + 1);
  const { n } = await read
    .selectFrom(all.as('counted'))
    .select((row) => row.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  const page = found.slice(0, limit);
  const items: SearchSummary[] = [];
  for (const row of page) items.push(await summaryOf(read, row));
  const last = page.at(-1);
  const isCut = found.length > page.length && last !== undefined;
  return {
    items,
    ...upTo(MOST_COUNTED, Number(n)),
    ...(isCut ? { next: `${last.created_at}.${last.id}` } : {}),
  };
}

/** A search with its arms, as it stands in `row`. */
export async function searchView(
  { read }: Pick<ComputeDatabase, 'read'>,
  row: SearchRow,
): Promise<SearchView> {
  const search = searchOf(row);
  const { seed, budget, stop_at, parallel, rungs: steps, previous } = search;
  const rungs = await rungsOf(read, row, search.objective.goal);
  const usedBy = (arm: SearchArm) =>
    rungs.reduce((sum, one) => {
      const at = steps.indexOf(one.resource);
      const before = previous === undefined ? 0 : (steps[at - 1] ?? 0);
      return one.arm === arm ? sum + (one.running + one.done + one.failed) * (one.resource - before) : sum;
    }, 0);
  const controlBest = await bestOf(read, row, row.control_best);
  return {
    ...(await summaryOf(read, row)),
    ...{ seed, budget, parallel, used: usedBy('main'), rungs },
    ...(stop_at === undefined ? {} : { stop_at }),
    running: await runningOf(read, row),
    ...(search.control === true
      ? {
          control: {
            ...{ trials: await countTrials(read, row, 'control'), used: usedBy('control') },
            ...(controlBest === undefined ? {} : { best: controlBest }),
          },
        }
      : {}),
  };
}

/** A page of the trials of a search, in the order in which they began. Throws as {@link listSearches}. */
export async function listTrials(
  { read }: ComputeDatabase,
  { id }: SearchRow,
  query: Paged,
): Promise<{ items: TrialView[]; next?: string } & Counted> {
  const limit = query.limit ?? PAGE.usual;
  const from = query.cursor === undefined ? 0 : readNumber(query.cursor);
  const trials = await read
    .selectFrom('search_trials')
    .selectAll()
    .where('search_id', '=', id)
    .where('number', '>=', from)
    .orderBy('number')
    .limit(limit + 1)
    .execute();
  const page = trials.slice(0, limit);
  const { n } = await read
    .selectFrom('search_trials')
    .select((row) => row.fn.countAll<number>().as('n'))
    .where('search_id', '=', id)
    .executeTakeFirstOrThrow();
  const runs =
    page.length === 0
      ? []
      : await read
          .selectFrom('search_runs')
          .selectAll()
          .where('search_id', '=', id)
          .where(
            'trial',
            'in',
            page.map(({ number }) => number),
          )
          .orderBy('n')
          .execute();
  const byTrial = Map.groupBy(runs, ({ trial }) => trial);
  const next = trials.length > limit ? { next: String(trials[limit]?.number) } : {};
  return {
    items: page.map(({ number, arm, parameters }) => ({
      ...{ trial: number, arm, parameters: parsed(parameters) },
      rungs: (byTrial.get(number) ?? []).map(runOf),
    })),
    ...upTo(MOST_COUNTED, Number(n)),
    ...next,
  };
}

/** What a search has heard of after so many results, in that order, `most` at the most: each trial with the rung that has ended. */
export async function resultsAfter(
  { read }: Pick<ComputeDatabase, 'read'>,
  id: string,
  after: number,
  most: number,
): Promise<TrialView[]> {
  const rows = await read
    .selectFrom('search_runs')
    .innerJoin('search_trials', (join) =>
      join
        .onRef('search_trials.search_id', '=', 'search_runs.search_id')
        .onRef('search_trials.number', '=', 'search_runs.trial'),
    )
    .selectAll('search_runs')
    .select(['search_trials.arm', 'search_trials.parameters'])
    .where('search_runs.search_id', '=', id)
    .where('search_runs.told', '>', after)
    .orderBy('search_runs.told')
    .limit(most)
    .execute();
  return rows.map(({ arm, parameters, ...run }) => ({
    ...{ trial: run.trial, arm, parameters: parsed(parameters), rungs: [runOf(run)] },
  }));
}

async function summaryOf(read: Read, row: SearchRow): Promise<SearchSummary> {
  const { name, strategy, objective } = searchOf(row);
  const best = await bestOf(read, row, row.best);
  return {
    ...{ uuid: row.id, owner: shownOwner(row.owner), group: groupOf(row.id), status: row.status },
    ...(name === undefined ? {} : { name }),
    ...(row.why === null ? {} : { why: row.why }),
    ...{ strategy: strategy?.name ?? 'aging-evolution', goal: objective.goal },
    trials: await countTrials(read, row, 'main'),
    ...{ orders: row.placed, ended: row.told },
    ...(best === undefined ? {} : { best }),
    created_at: time(Number(row.created_at)),
    ...(row.ended_at === null ? {} : { ended_at: time(Number(row.ended_at)) }),
  };
}

async function countTrials(read: Read, { id }: SearchRow, arm: SearchArm): Promise<number> {
  const { n } = await read
    .selectFrom('search_trials')
    .select((row) => row.fn.countAll<number>().as('n'))
    .where('search_id', '=', id)
    .where('arm', '=', arm)
    .executeTakeFirstOrThrow();
  return Number(n);
}

async function bestOf(read: Read, { id }: SearchRow, n: number | null): Promise<BestTrial | undefined> {
  if (n === null) return undefined;
  const run = await read
    .selectFrom('search_runs')
    .selectAll()
    .where('search_id', '=', id)
    .where('n', '=', n)
    .executeTakeFirst();
  if (run === undefined || run.value === null) return undefined;
  const { parameters } = await read
    .selectFrom('search_trials')
    .select('parameters')
    .where('search_id', '=', id)
    .where('number', '=', run.trial)
    .executeTakeFirstOrThrow();
  const { trial, value, resource, order_id: order, output } = run;
  return { trial, value, resource, parameters: parsed(parameters), order, output };
}

async function rungsOf(read: Read, { id }: SearchRow, goal: 'maximize' | 'minimize'): Promise<RungView[]> {
  const rows = await read
    .selectFrom('search_runs')
    .innerJoin('search_trials', (join) =>
      join
        .onRef('search_trials.search_id', '=', 'search_runs.search_id')
        .onRef('search_trials.number', '=', 'search_runs.trial'),
    )
    .select(({ fn }) => [
      'search_trials.arm',
      'search_runs.resource',
      fn.countAll<number | string>().as('n'),
      fn.sum<number | string>('search_runs.open').as('running'),
      fn.count<number | string>('search_runs.value').as('done'),
      fn.count<number | string>('search_runs.failed').as('failed'),
      (goal === 'maximize' ? fn.max('search_runs.value') : fn.min('search_runs.value')).as('best'),
    ])
    .where('search_runs.search_id', '=', id)
    .groupBy(['search_trials.arm', 'search_runs.resource'])
    .execute();
  return rows
    .map(({ arm, resource, running, done, failed, best }) => ({
      ...{ arm, resource, running: Number(running), done: Number(done), failed: Number(failed) },
      ...(best === null ? {} : { best: Number(best) }),
    }))
    .sort((a, b) => SEARCH_ARMS.indexOf(a.arm) - SEARCH_ARMS.indexOf(b.arm) || a.resource - b.resource);
}

async function runningOf(read: Read, { id }: SearchRow): Promise<SearchView['running']> {
  const rows = await read
    .selectFrom('search_runs')
    .innerJoin('search_trials', (join) =>
      join
        .onRef('search_trials.search_id', '=', 'search_runs.search_id')
        .onRef('search_trials.number', '=', 'search_runs.trial'),
    )
    .select([
      'search_runs.trial',
      'search_trials.arm',
      'search_runs.resource',
      'search_runs.order_id',
      'search_runs.placed_at',
    ])
    .where('search_runs.search_id', '=', id)
    .where(sql<boolean>`search_runs.open = 1`)
    .orderBy('search_runs.n')
    .execute();
  return rows.map(({ order_id: order, placed_at, ...run }) => ({
    ...run,
    ...{ order, placed_at: time(Number(placed_at)) },
  }));
}

function runOf({
  resource,
  order_id: order,
  value,
  failed,
  told,
  seconds,
}: SearchRunRow): TrialView['rungs'][number] {
  return {
    ...{ resource, order },
    ...(value === null ? {} : { value }),
    ...(failed === null ? {} : { failed }),
    ...(told === null ? {} : { result: told }),
    ...(seconds === null ? {} : { seconds }),
  };
}

/** Written by ourselves. */
function parsed(parameters: string): BestTrial['parameters'] {
  return JSON.parse(parameters) as BestTrial['parameters'];
}

function readCursor(cursor: string): { at: number; id: string } {
  const match = /^(\d{1,15})\.([\w-]{1,100})$/.exec(cursor);
  if (match?.[1] === undefined || match[2] === undefined) throw noCursor();
  return { at: Number(match[1]), id: match[2] };
}

function readNumber(cursor: string): number {
  if (!/^\d{1,9}$/.test(cursor)) throw noCursor();
  return Number(cursor);
}

function noCursor(): PlatformError {
  return new PlatformError(
    'invalid_request',
    'query.cursor: should be the `next` of an earlier page, unchanged',
  );
}
