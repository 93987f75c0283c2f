import type { LogChunk } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';

/** Positions of a log entry in the log of its order: one whole number, so that it can be an event id. */
const PER_ATTEMPT = 1_000_000_000;

/** A piece of log, and its position in the log of its order. */
export interface LogEntry {
  readonly position: number;
  readonly chunk: LogChunk;
}

/** Entries after a position (0 for the beginning), oldest first, at most 500. */
export async function logAfter(
  { read }: Pick<ComputeDatabase, 'read'>,
  order: string,
  position: number,
): Promise<LogEntry[]> {
  const attempt = Math.floor(position / PER_ATTEMPT);
  const seq = (position % PER_ATTEMPT) - 1;
  const rows = await read
    .selectFrom('logs')
    .selectAll()
    .where('order_id', '=', order)
    .where((row) =>
      row.or([row('attempt', '>', attempt), row.and([row('attempt', '=', attempt), row('seq', '>', seq)])]),
    )
    .orderBy('attempt')
    .orderBy('seq')
    .limit(500)
    .execute();
  return rows.map((row) => ({
    position: row.attempt * PER_ATTEMPT + row.seq + 1,
    chunk: {
      at: new Date(row.at).toISOString(),
      attempt: row.attempt,
      step: row.step,
      stream: row.stream,
      text: row.text,
    },
  }));
}

/** The whole log of an order as it is now. */
export async function* wholeLog(
  database: Pick<ComputeDatabase, 'read'>,
  order: string,
): AsyncGenerator<LogEntry> {
  let position = 0;
  for (;;) {
    const entries = await logAfter(database, order, position);
    yield* entries;
    const last = entries.at(-1);
    if (last === undefined) return;
    position = last.position;
  }
}
