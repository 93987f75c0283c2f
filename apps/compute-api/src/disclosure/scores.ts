import type { OrderSpec, Performance } from '@morpheo/common';
import type { OrderRow } from '../db/schema.ts';
import type { MadeResult } from '../orders/kinds.ts';
import { specOf } from '../orders/store.ts';
import { policyOf } from './shown.ts';

/** Sizes of scores that are told apart; smaller ones are told as 0, greater ones as the greatest. */
const SCORES = { least: 1e-6, most: 1e8 } as const;

/**
 * A score with so many significant digits, 0 where it is smaller than 0.000001 and at most 100,000,000 either way: an
 * exponent that is free would carry as much as the digits.
 */
export function coarseScore(score: number, digits: number): number {
  if (Math.abs(score) < SCORES.least) return 0;
  return Number(Math.max(-SCORES.most, Math.min(SCORES.most, score)).toPrecision(digits));
}

/** A result of an order with scores as coarse as its problem discloses them, and nothing else of what was measured. */
export function withCoarseScores(
  order: Pick<OrderRow, 'pin' | 'round' | 'sample_of' | 'spec'>,
  result: MadeResult,
): MadeResult {
  if (result.performance === undefined) return result;
  const { digits } = policyOf(order).disclosure;
  return { ...result, performance: coarseScores(result.performance, digits, specOf(order)) };
}

/**
 * Scores as {@link coarseScore} tells them, of the data of the order alone, and nothing else of what the performance file
 * has: each further digit, name or member could carry hidden data out.
 */
function coarseScores(performance: Performance, digits: number, spec: OrderSpec): Performance {
  const data: readonly string[] =
    spec.kind === 'learn' ? [...spec.uplet.train_data, ...spec.uplet.test_data] : [];
  const named = new Set(data);
  const rounded = (score: number): number => coarseScore(score, digits);
  const scores = (all: Readonly<Record<string, number>>): Record<string, number> =>
    Object.fromEntries(
      Object.entries(all).flatMap(([uuid, score]) => (named.has(uuid) ? [[uuid, rounded(score)]] : [])),
    );
  const { perf, train_perf, test_perf } = performance;
  return { perf: rounded(perf), train_perf: scores(train_perf), test_perf: scores(test_perf) };
}
