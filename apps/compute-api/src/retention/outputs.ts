import { type Api, isPlatformError, type StorageContract } from '@morpheo/common';
import type { MadeResult } from '../orders/kinds.ts';
import type { Candidate } from './candidates.ts';
import { type Amount, NONE, plus } from './rows.ts';

/** The call by which storage removes what an order has made. */
export type OutputStorage = Pick<Api<StorageContract>, 'removeResult'>;

/** How long one call may take, in milliseconds. */
const CALL_MS = 30_000;
/** How many calls are under way at once. */
const AT_ONCE = 10;

/** What an order that has ended has made on storage; null where it has made nothing. */
export function outputOf({ result }: Pick<Candidate, 'result'>): MadeResult | null {
  // Written by ourselves.
  return JSON.parse(result ?? 'null') as MadeResult | null;
}

/** How much these orders have made, as their workers reported it. */
export function outputsOf(orders: readonly Candidate[]): Amount {
  return orders.map(outputOf).reduce((sum, output) => plus(sum, amountOf(output)), NONE);
}

function amountOf(output: MadeResult | null): Amount {
  return output === null ? NONE : { count: 1, bytes: output.size ?? 0 };
}

/** What came of removing outputs. */
export interface RemovedOutputs {
  readonly outputs: Amount;
  /** The orders whose output is gone, or that had none. */
  readonly without: readonly string[];
  /** The first error but that something refers to an output. */
  readonly error: unknown;
}

/**
 * Has storage remove what orders have made. An order whose output something refers to, or that could not be removed,
 * keeps it; its row is what says so, so that it is tried again with the order.
 */
export async function removeOutputs(
  storage: OutputStorage,
  orders: readonly Candidate[],
  signal: AbortSignal,
): Promise<RemovedOutputs> {
  const without: string[] = [];
  let outputs = NONE;
  let error: unknown;
  for (let at = 0; at < orders.length; at += AT_ONCE) {
    const some = orders.slice(at, at + AT_ONCE);
    const answers = await Promise.all(some.map((order) => removeOutput(storage, order, signal)));
    for (const [n, order] of some.entries()) {
      const answer = answers[n];
      if (answer?.isGone === true) without.push(order.id);
      outputs = plus(outputs, answer?.amount ?? NONE);
      error ??= answer?.error;
    }
  }
  return { outputs, without, error };
}

/** What became of one output. */
interface Answer {
  readonly isGone: boolean;
  readonly amount: Amount;
  readonly error?: unknown;
}

async function removeOutput(storage: OutputStorage, order: Candidate, stop: AbortSignal): Promise<Answer> {
  const output = outputOf(order);
  if (output === null) return { isGone: true, amount: NONE };
  const signal = AbortSignal.any([stop, AbortSignal.timeout(CALL_MS)]);
  try {
    const { id, attempt } = order;
    await storage.removeResult({ params: { order: id }, query: { attempt } }, { signal });
    return { isGone: true, amount: amountOf(output) };
  } catch (error) {
    if (isPlatformError(error, 'not_found')) return { isGone: true, amount: NONE };
    return { isGone: false, amount: NONE, ...(isPlatformError(error, 'in_use') ? {} : { error }) };
  }
}
