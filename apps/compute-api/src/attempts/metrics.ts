import { MOST_METRICS, PlatformError } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import { changeOrder } from '../orders/store.ts';
import { type CalledAttempt, takeFenced } from './fence.ts';

/** Lines of metrics that a job has written, in their order; `from` is the number of the first, counted from 0. */
export interface MetricsLines {
  readonly from: number;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

/**
 * Adds lines to the history of a job that runs, each once, and returns the number of the line that is to come next. Lines
 * beyond the bound of an attempt are counted and dropped. Throws as {@link takeFenced} does, and `invalid_request` where
 * lines before these are missing, or the order is no job.
 */
export async function noteMetrics(
  database: ComputeDatabase,
  ref: CalledAttempt,
  { from, lines }: MetricsLines,
): Promise<number> {
  return await database.write(async (tx) => {
    const order = await takeFenced(tx, ref);
    if (order.kind !== 'job')
      throw new PlatformError(
        'invalid_request',
        `params.id: the order ${ref.order} is no job, and has no metrics`,
      );
    const { metrics: known } = await tx.db
      .selectFrom('attempts')
      .select('metrics')
      .where('order_id', '=', ref.order)
      .where('attempt', '=', ref.attempt)
      .executeTakeFirstOrThrow();
    if (from > known)
      throw new PlatformError(
        'invalid_request',
        `body.from: should be ${known} at the most, for no line is left out`,
      );
    const added = lines.slice(known - from);
    if (added.length === 0) return known;
    const next = known + added.length;
    await tx.db
      .updateTable('attempts')
      .set({ metrics: next })
      .where('order_id', '=', ref.order)
      .where('attempt', '=', ref.attempt)
      .execute();
    const kept = added.slice(0, Math.max(0, MOST_METRICS.lines - known));
    if (kept.length > 0)
      await changeOrder(tx, order, { event: 'metrics', details: { from: known, lines: kept } });
    return next;
  });
}
