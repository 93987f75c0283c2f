import type { Failure, Objective } from '@morpheo/common';
import { metricsOf } from '../attempts/told-metrics.ts';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import type { MadeResult } from '../orders/kinds.ts';

/** What came of a run: its value, or why it has none. */
export type RunResult = ({ readonly value: number } | { readonly failed: string }) & {
  readonly seconds: number;
};

/** The longest text that says why a run has no value, in characters. */
const MOST_WHY = 500;

/** What an order that has ended is worth to a search; undefined: the order is not there any more. */
export async function resultOf(
  tx: Tx,
  order: OrderRow | undefined,
  objective: Objective,
  resource: number,
): Promise<RunResult> {
  if (order === undefined) return { failed: 'its order was removed', seconds: 0 };
  const { started_at, ended_at } = order;
  const seconds = started_at === null ? 0 : Math.max(0, Number(ended_at) - Number(started_at)) / 1000;
  if (order.status !== 'done') return { failed: failureOf(order), seconds };
  const value = await worthOf(tx, order, objective, resource);
  return value === undefined ? { failed: missing(objective), seconds } : { value, seconds };
}

function failureOf({ kind, failure: json, status }: OrderRow): string {
  // Written by ourselves.
  const failure = JSON.parse(json ?? 'null') as Failure | null;
  if (failure === null) return status;
  // What a training says of its failure may tell of data that the owner of the search does not see.
  const told = kind === 'job' ? `${failure.reason}: ${failure.message}` : failure.reason;
  return told.slice(0, MOST_WHY).toWellFormed();
}

function missing({ metric, score, take, step }: Objective): string {
  if (metric === undefined)
    return score === undefined ? 'it has no score' : `no number ${score} in /outputs/score.json`;
  const of = take === 'rung' ? ` with a number ${step} that its rung has` : '';
  return `no line of /outputs/metrics.jsonl has a number ${metric}${of}`;
}

async function worthOf(
  tx: Tx,
  order: OrderRow,
  objective: Objective,
  resource: number,
): Promise<number | undefined> {
  const { metric, score } = objective;
  if (metric !== undefined) {
    const lines = (await metricsOf(tx.db, order.id)).map(({ line }) => line);
    return pick(lines, { ...objective, metric }, resource);
  }
  // As everybody may see it: exact ones of hidden data would be found out digit by digit.
  if (score === undefined) return order.score ?? undefined;
  const result = JSON.parse(order.result ?? 'null') as MadeResult | null;
  return numberIn(result?.scores, score);
}

/** Which number of these lines is the result. */
export function pick(
  lines: readonly unknown[],
  { metric, take = 'last', step = '', goal }: Objective & { readonly metric: string },
  resource: number,
): number | undefined {
  const fits = (line: unknown): boolean => {
    const count = numberIn(line, step);
    return take !== 'rung' || (count !== undefined && count <= resource);
  };
  const values = lines.filter(fits).flatMap((line) => numberIn(line, metric) ?? []);
  if (take !== 'best') return values.at(-1);
  return values.length === 0
    ? undefined
    : values.reduce((best, one) => (goal === 'maximize' ? Math.max(best, one) : Math.min(best, one)));
}

function numberIn(line: unknown, name: string): number | undefined {
  if (typeof line !== 'object' || line === null) return undefined;
  const value: unknown = Object.getOwnPropertyDescriptor(line, name)?.value;
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
