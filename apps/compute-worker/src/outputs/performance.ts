import { OrderFailure, type Performance, performance as performanceSchema } from '@morpheo/common';
import { shownPath } from '@morpheo/service/archive';
import { z } from 'zod';

const PERFORMANCE_FILE = '/hidden_data/perf/performance.json';

/** The UUIDs of the data sets that *perf* may give scores for, by the member that holds them. */
export type Scored = Readonly<Record<'train_perf' | 'test_perf', readonly string[]>>;

/** What {@link parsePerformance} read. */
export interface Measured {
  readonly performance: Performance;
  /** A sentence that names data sets without a score, where there are any. */
  readonly missing: string | undefined;
}

/**
 * Reads what *perf* wrote for an order of these data sets. Throws `OrderFailure` with `invalid_result` that says what
 * is wrong with it: a score of what is no data set of the order would be averaged and shown as if it were.
 */
export function parsePerformance(bytes: Uint8Array, scored: Scored): Measured {
  const { success, data, error } = performanceSchema.safeParse(parseJson(bytes));
  if (!success) throw invalid(z.prettifyError(error).slice(0, 2000));
  const foreign: string[] = [];
  const missing: string[] = [];
  for (const member of ['train_perf', 'test_perf'] as const) {
    const [scores, uuids] = [data[member], scored[member]];
    const [key, ...keys] = Object.keys(scores).filter((uuid) => !uuids.includes(uuid));
    const [uuid, ...others] = uuids.filter((uuid) => !Object.hasOwn(scores, uuid));
    if (key !== undefined) {
      const shown = `"${shownPath(key)}"${more(keys)}`;
      foreign.push(`${member} has a score under ${shown}, which is no data set that the order has there`);
    }
    if (uuid !== undefined) missing.push(`${member} has no score of ${uuid}${more(others)}`);
  }
  if (foreign.length > 0) throw invalid(sentence([...foreign, ...missing]));
  return { performance: data, missing: missing.length === 0 ? undefined : sentence(missing) };
}

function more({ length }: readonly string[]): string {
  return length === 0 ? '' : ` and ${length} more`;
}

function sentence(parts: readonly string[]): string {
  return `${parts.join('; ')}.`;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(`It is not JSON: ${error instanceof Error ? error.message : 'it cannot be read'}`, error);
  }
}

function invalid(problem: string, cause?: unknown): OrderFailure {
  const message = `${PERFORMANCE_FILE} is not as the container contract has it. ${problem}`;
  return new OrderFailure('performance_invalid', { message, step: 'perf', file: PERFORMANCE_FILE }, cause);
}
