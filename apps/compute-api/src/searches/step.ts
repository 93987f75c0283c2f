import {
  hasEnded,
  type PlatformError,
  type Search,
  type SearchStatus,
  toPlatformError,
} from '@morpheo/common';
import { bestOf, nextSteps, type SearchSpec, type Step, type Trial } from '@morpheo/search';
import { sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { OrderRow, SearchRow, SearchRunRow } from '../db/schema.ts';
import { askOfGroup, takeGroup } from '../groups/store.ts';
import { placeOrders } from '../orders/place.ts';
import { ordersOf } from '../orders/store.ts';
import { type IntakeSettings, postedOf } from '../orders/submit.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import { type RunResult, resultOf } from './results.ts';
import { specOf } from './spec.ts';
import { pastOf, rungOf, runningIn, searchOf } from './store.ts';
import { groupOf, orderIdOf, orderOf, outputIdOf } from './template.ts';

/** When a search is looked at again whose owner has as many open orders as they may, in milliseconds. */
const FULL_MS = 5000;

/** What a step of a search needs beside the database. */
export interface StepParts {
  readonly openOrders: OpenOrders;
  readonly settings: IntakeSettings;
}

/** A run, with when it was placed left out: the database says. */
type PlannedRun = Omit<SearchRunRow, 'placed_at'>;

/** How a search ends. */
export interface SearchEnd {
  readonly status: Exclude<SearchStatus, 'running'>;
  readonly why: string;
}

/**
 * Brings a running search forward that this transaction has locked: it hears of the orders that have ended, one after
 * another, and after each its next orders are placed. What it does depends on the results in that order, and on how many open orders its owner may
 * still have, alone. Throws, where it has placed nothing before, what refuses its first orders.
 */
export async function stepSearch(tx: Tx, row: SearchRow, { openOrders, settings }: StepParts): Promise<void> {
  const course = await Course.read(tx, row, await openOrders.roomIn(tx, row.owner));
  course.plan();
  for (const { run, order } of await endedOf(tx, course.runs)) {
    if (course.end !== undefined) break;
    const { objective } = course.search;
    course.hear(run, await resultOf(tx, order, objective, run.resource));
    course.plan();
  }
  if (course.isIdle && row.due_at === null) return;
  const { placed, refusal } = await place(tx, course, row.owner, settings);
  if (refusal !== undefined && row.placed === 0) throw refusal;
  openOrders.added(row.owner, placed.size);
  await write(tx, row, course, placed, course.end ?? endBy(refusal));
}

/** Ends a running search that this transaction has locked, and its open orders. */
export async function endSearch(
  tx: Tx,
  { id, owner }: Pick<SearchRow, 'id' | 'owner'>,
  { status, why }: SearchEnd,
): Promise<void> {
  await tx.db
    .updateTable('searches')
    .set({ status, why, ended_at: tx.now, due_at: null })
    .where('id', '=', id)
    .execute();
  const { numUpdatedRows } = await tx.db
    .updateTable('search_runs')
    .set({ open: 0 })
    .where('search_id', '=', id)
    .where('open', '=', 1)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return;
  const group = { owner, name: groupOf(id) };
  // It may have been forgotten, where its orders were removed before the search heard of them.
  await takeGroup(tx, group);
  await askOfGroup(tx, group, 'cancel', 'the search');
}

/** A search as it goes on within a transaction: what it has done, and what it is about to do. */
class Course {
  readonly search: Search;
  readonly spec: SearchSpec;
  readonly runs: PlannedRun[];
  readonly trials: Trial[];
  readonly id: string;
  /** The runs that are new, of which some begin a trial. */
  readonly fresh: PlannedRun[] = [];
  /** Those of which it has just heard. */
  readonly heard: PlannedRun[] = [];
  end: SearchEnd | undefined;
  told: number;
  readonly #quota: number;

  static async read(tx: Tx, row: SearchRow, quota: number): Promise<Course> {
    const { trials, runs } = await pastOf(tx.db, row.id);
    return new Course(row, trials, runs, quota);
  }

  constructor(row: SearchRow, trials: Trial[], runs: PlannedRun[], quota: number) {
    this.id = row.id;
    this.search = searchOf(row);
    this.spec = specOf(this.search);
    this.trials = trials;
    this.runs = runs;
    this.told = row.told;
    this.#quota = quota;
  }

  /** Whether it would place more orders if its owner might have more. */
  get isHeldUp(): boolean {
    return this.end === undefined && this.#quotaLeft <= 0 && this.#room > 0;
  }

  /** Whether nothing has come of it. */
  get isIdle(): boolean {
    return this.end === undefined && this.heard.length + this.fresh.length === 0 && !this.isHeldUp;
  }

  /** Decides what comes next, with what it has heard so far. */
  plan(): void {
    const room = Math.min(this.#room, Math.max(0, this.#quotaLeft));
    for (const step of nextSteps(this.spec, this.trials, runningIn(this.runs), room)) this.#take(step);
  }

  /** Hears how a run has ended. */
  hear(run: PlannedRun, result: RunResult): void {
    this.told += 1;
    const [value, failed] = 'value' in result ? [result.value, null] : [null, result.failed];
    const ended = { ...run, open: 0, told: this.told, value, failed, seconds: result.seconds };
    this.runs.splice(this.runs.indexOf(run), 1, ended);
    this.heard.push(ended);
    const trial = this.trials[run.trial];
    if (trial !== undefined)
      this.trials.splice(run.trial, 1, { ...trial, rungs: [...trial.rungs, rungOf(ended)] });
  }

  /** The run (`n`) of the best trial of an arm; null where there is none. */
  best(arm: Trial['arm']): number | null {
    const best = bestOf(this.spec, this.trials, arm);
    if (best === undefined) return null;
    const its = this.runs.find(({ trial, resource }) => trial === best.trial && resource === best.resource);
    return its?.n ?? null;
  }

  get #room(): number {
    return Math.max(0, this.search.parallel - runningIn(this.runs).length);
  }

  get #quotaLeft(): number {
    return this.#quota - this.fresh.length;
  }

  #take(step: Step): void {
    if (step.kind === 'done') this.end = { status: 'done', why: step.why };
    if (step.kind === 'done' || step.kind === 'wait') return;
    const { resource } = step;
    const trial = step.kind === 'new' ? this.trials.length : step.trial;
    if (step.kind === 'new')
      this.trials.push({ number: trial, arm: step.arm, parameters: step.parameters, rungs: [] });
    const run = {
      ...{ search_id: this.id, n: this.runs.length + 1, trial, resource, after: this.told },
      ...{
        order_id: orderIdOf(this.id, { trial, resource }),
        output: outputIdOf(this.id, { trial, resource }),
      },
      ...{ open: 1, told: null, value: null, failed: null, seconds: null },
    };
    this.runs.push(run);
    this.fresh.push(run);
  }
}

/** The open runs whose orders have ended, or are not there any more, in the order of their ends. */
async function endedOf(
  tx: Tx,
  runs: readonly PlannedRun[],
): Promise<{ readonly run: PlannedRun; readonly order: OrderRow | undefined }[]> {
  // What has just been planned is not there yet.
  const open = runs.filter((run): run is SearchRunRow => run.open === 1 && 'placed_at' in run);
  const orders = await ordersOf(
    tx,
    open.map(({ order_id }) => order_id),
  );
  const byId = new Map(orders.map((order) => [order.id, order]));
  return open
    .map((run) => ({ run, order: byId.get(run.order_id) }))
    .filter(({ order }) => order === undefined || hasEnded(order.status))
    .sort((a, b) => Number(a.order?.ended_at ?? 0) - Number(b.order?.ended_at ?? 0) || a.run.n - b.run.n);
}

/** Places the orders of new runs; of those that are refused the first reason. */
async function place(
  tx: Tx,
  { search, trials, runs, fresh }: Course,
  owner: string,
  settings: IntakeSettings,
): Promise<{ readonly placed: ReadonlySet<PlannedRun>; readonly refusal: PlatformError | undefined }> {
  const posted = fresh.map((run) => {
    const { arm = 'main', parameters = {} } = trials[run.trial] ?? {};
    const before = runs
      .filter(({ trial, resource }) => trial === run.trial && resource < run.resource)
      .sort((a, b) => b.resource - a.resource);
    const { trial, resource } = run;
    const order = orderOf(search, { trial, resource, arm, parameters, previous: before[0]?.output });
    return postedOf(order, owner, settings);
  });
  if (posted.length === 0) return { placed: new Set(), refusal: undefined };
  const outcomes = await placeOrders(tx, posted);
  const placed = fresh.filter((_, at) => outcomes[at]?.status === 'fulfilled');
  const refused = outcomes.find((outcome) => outcome.status === 'rejected');
  return {
    placed: new Set(placed),
    refusal: refused === undefined ? undefined : toPlatformError(refused.reason),
  };
}

/** How a search ends whose orders are refused: whoever has cancelled its group has cancelled it. */
function endBy(refusal: PlatformError | undefined): SearchEnd | undefined {
  if (refusal === undefined) return undefined;
  return { status: refusal.code === 'wrong_state' ? 'cancelled' : 'failed', why: refusal.message };
}

/** Writes down what has been heard and placed. */
async function write(
  tx: Tx,
  row: SearchRow,
  course: Course,
  placed: ReadonlySet<PlannedRun>,
  end: SearchEnd | undefined,
): Promise<void> {
  const { db, now } = tx;
  for (const { search_id, n, open, told, value, failed, seconds } of course.heard) {
    await db
      .updateTable('search_runs')
      .set({ open, told, value, failed, seconds })
      .where('search_id', '=', search_id)
      .where('n', '=', n)
      .execute();
  }
  const runs = course.fresh.filter((run) => placed.has(run));
  const known = new Set(course.runs.flatMap((run) => ('placed_at' in run ? [run.trial] : [])));
  const numbers = new Set(runs.map(({ trial }) => trial).filter((trial) => !known.has(trial)));
  const trials = course.trials.filter(({ number }) => numbers.has(number));
  if (trials.length > 0) {
    const values = trials.map(({ number, arm, parameters }) => ({
      ...{ search_id: row.id, number, arm, parameters: JSON.stringify(parameters) },
    }));
    await db.insertInto('search_trials').values(values).execute();
  }
  if (runs.length > 0) {
    const values = runs.map((run) => ({ ...run, placed_at: now }));
    await db.insertInto('search_runs').values(values).execute();
  }
  await db
    .updateTable('searches')
    .set({
      ...{ told: course.told, placed: row.placed + runs.length },
      ...{ best: course.best('main'), control_best: course.best('control') },
      due_at: course.isHeldUp ? sql<number>`${now} + ${sql.lit(FULL_MS)}` : null,
    })
    .where('id', '=', row.id)
    .execute();
  if (end !== undefined) await endSearch(tx, row, end);
}
