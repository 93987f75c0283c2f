import type { OrderSummary, Performance } from '@morpheo/common';
import { secondsBetween } from '../terminal/text.ts';

/** A training that is done, and its place among those of the same problem workflow. */
export interface Entry {
  /** 1 for the best; equal scores have equal places. */
  readonly place: number;
  readonly workflow: string;
  readonly problem: string;
  readonly order: string;
  readonly algo: string;
  readonly rank: number;
  /** The score that the problem gives, bigger is better. */
  readonly perf: number;
  /** The mean over the training data sets; absent where the problem tells none. */
  readonly train_perf?: number;
  /** The mean over the test data sets; absent where the problem tells none. */
  readonly test_perf?: number;
  /** From the start of the first attempt to the end. */
  readonly seconds?: number;
  readonly model: string;
  readonly ended_at?: string;
}

/** What a leaderboard needs of an order, without its place; undefined for an order that brought no score. */
export type Scored = Omit<Entry, 'place'>;

/** See {@link Scored}. */
export function scoredOf(order: OrderSummary): Scored | undefined {
  const { result } = order;
  if (order.status !== 'done' || result?.performance === undefined || order.algo === undefined)
    return undefined;
  // Scores on a public sample are none on the problem.
  if (order.sample_of !== undefined) return undefined;
  const { workflow, problem } = order;
  if (workflow === undefined || problem === undefined) return undefined;
  const { performance } = result;
  return {
    workflow,
    problem,
    order: order.id,
    algo: order.algo,
    rank: order.rank ?? 0,
    perf: performance.perf,
    ...withoutUndefined({
      train_perf: meanOf(performance.train_perf),
      test_perf: meanOf(performance.test_perf),
      seconds: secondsBetween(order.started_at, order.ended_at),
      ended_at: order.ended_at,
    }),
    model: result.uuid,
  };
}

/**
 * The leaderboards of the workflows, in the order of the workflows' ids, each best first: scores of different problems
 * cannot be compared. With `best`, each algorithm stands once, with its best training.
 */
export function rankEntries(scored: readonly Scored[], best: boolean): Entry[] {
  const boards = Map.groupBy(scored, (entry) => entry.workflow);
  return [...boards.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, entries]) => {
      const sorted = entries.toSorted((a, b) => b.perf - a.perf || (a.order < b.order ? -1 : 1));
      const kept = best ? firstOfEach(sorted) : sorted;
      return kept.map((entry) => ({
        place: kept.findIndex((other) => other.perf === entry.perf) + 1,
        ...entry,
      }));
    });
}

function firstOfEach(sorted: readonly Scored[]): Scored[] {
  const seen = new Set<string>();
  return sorted.filter(({ algo }) => !seen.has(algo) && seen.add(algo));
}

function meanOf(scores: Performance['test_perf']): number | undefined {
  const values = Object.values(scores);
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function withoutUndefined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
