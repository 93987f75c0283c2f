import { type MetricsPage, PAGE, PlatformError } from '@morpheo/common';
import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** A line of metrics, and the attempt that told it. */
export type ToldMetrics = MetricsPage['items'][number];

/**
 * The lines of metrics of an order, as it has told them, those of earlier attempts first: one may go on from the
 * checkpoint of another.
 */
export async function metricsOf(db: Kysely<Schema>, order: string): Promise<ToldMetrics[]> {
  const rows = await db
    .selectFrom('events')
    .select(['attempt', 'details'])
    .where('order_id', '=', order)
    .where('what', '=', 'metrics')
    .orderBy('n')
    .execute();
  return rows.flatMap(({ attempt, details }) =>
    // Written by ourselves.
    (JSON.parse(details) as { lines: ToldMetrics['line'][] }).lines.map((line) => ({ attempt, line })),
  );
}

/** A page of lines; its cursor is the number of those before. Throws `invalid_request` for any other cursor. */
export function pageOfMetrics(
  all: readonly ToldMetrics[],
  {
    limit = PAGE.usual,
    cursor = '0',
  }: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
): MetricsPage {
  if (!/^\d{1,9}$/.test(cursor))
    throw new PlatformError(
      'invalid_request',
      'The cursor is none of this list: leave it out to begin anew.',
    );
  const end = Number(cursor) + limit;
  return { items: all.slice(Number(cursor), end), ...(end < all.length ? { next: String(end) } : {}) };
}
