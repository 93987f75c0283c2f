import { type LogChunk, PlatformError } from '@morpheo/common';
import type { ComputeDatabase } from '../db/database.ts';
import type { LogRow } from '../db/schema.ts';
import { CHANNELS } from '../orders/changes.ts';
import { type CalledAttempt, takeFenced } from './fence.ts';

/** The most bytes of log that an attempt may leave here; a worker bounds it lower. */
export const MOST_LOG_BYTES = 16 * 1024 * 1024;

/** Positions of a log entry in the log of its order: one whole number, so that it can be an event id. */
const PER_ATTEMPT = 1_000_000_000;

/** A piece of log as a worker sends it. */
export type NewChunk = Pick<LogRow, 'seq' | 'step' | 'stream' | 'text'>;

/** A piece of log, and its position in the log of its order. */
export interface LogEntry {
  readonly position: number;
  readonly chunk: LogChunk;
}

/** Appends to the log of a running attempt; a `seq` that is there already is passed over. */
export async function appendLog(
  database: ComputeDatabase,
  ref: CalledAttempt,
  chunks: readonly NewChunk[],
): Promise<void> {
  if (chunks.length === 0) return;
  await database.write(async (tx) => {
    await takeFenced(tx, ref);
    const bytes = chunks.reduce((sum, chunk) => sum + Buffer.byteLength(chunk.text), 0);
    const grown = await tx.db
      .updateTable('attempts')
      .set((row) => ({ log_bytes: row('log_bytes', '+', bytes) }))
      .where('order_id', '=', ref.order)
      .where('attempt', '=', ref.attempt)
      .returning('log_bytes')
      .executeTakeFirstOrThrow();
    if (grown.log_bytes > MOST_LOG_BYTES) {
      throw new PlatformError('too_large', `The log of an attempt holds at most ${MOST_LOG_BYTES} bytes.`);
    }
    await tx.db
      .insertInto('logs')
      .values(
        chunks.map((chunk) => ({
          ...chunk,
          // PostgreSQL keeps no NUL in a text, and a container may print anything.
          text: chunk.text.replaceAll('\0', '\u2400'),
          order_id: ref.order,
          attempt: ref.attempt,
          at: tx.now,
        })),
      )
      .onConflict((conflict) => conflict.columns(['order_id', 'attempt', 'seq']).doNothing())
      .execute();
  });
  // The log is no part of the history, so that this is no change of the order: its followers alone look again.
  database.notify(CHANNELS.news, ref.order);
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
