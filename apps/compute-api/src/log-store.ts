import { type LogChunk, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { fence, type Held } from './claims.ts';
import type { OrderStore } from './order-store.ts';
import type { LogRow, Schema } from './schema.ts';

/** The most bytes of log that an attempt may leave here; a worker bounds it lower. */
export const MOST_LOG_BYTES = 16 * 1024 * 1024;

/** Places of a log entry in the log of its order: one whole number, so that it can be an event id. */
const PER_ATTEMPT = 1_000_000_000;

/** A piece of log as a worker sends it. */
export type NewChunk = Pick<LogRow, 'seq' | 'step' | 'stream' | 'text'>;

/** The statements about logs. */
export class LogStore {
  readonly #database: Database<Schema>;
  readonly #orders: OrderStore;

  constructor(database: Database<Schema>, orders: OrderStore) {
    this.#database = database;
    this.#orders = orders;
  }

  /** Appends to the log of a running attempt; a `seq` that is there already is passed over. */
  async append(held: Held, chunks: readonly NewChunk[]): Promise<void> {
    if (chunks.length === 0) return;
    await this.#database.write(async (tx) => {
      fence(await this.#orders.take(tx, held.order), held);
      const bytes = chunks.reduce((sum, chunk) => sum + Buffer.byteLength(chunk.text), 0);
      const grown = await tx
        .updateTable('attempts')
        .set((row) => ({ log_bytes: row('log_bytes', '+', bytes) }))
        .where('order_id', '=', held.order)
        .where('attempt', '=', held.attempt)
        .returning('log_bytes')
        .executeTakeFirstOrThrow();
      if (grown.log_bytes > MOST_LOG_BYTES) {
        throw new PlatformError('too_large', `The log of an attempt holds at most ${MOST_LOG_BYTES} bytes.`);
      }
      await tx
        .insertInto('logs')
        .values(
          chunks.map((chunk) => ({
            ...chunk,
            // PostgreSQL keeps no NUL in a text, and a container may print anything.
            text: chunk.text.replaceAll('\0', '\u2400'),
            order_id: held.order,
            attempt: held.attempt,
            at: this.#database.now,
          })),
        )
        .onConflict((conflict) => conflict.columns(['order_id', 'attempt', 'seq']).doNothing())
        .execute();
    });
  }

  /** Entries after a position (0 for the beginning), oldest first, at most 500, with the position of each. */
  async after(order: string, position: number): Promise<{ position: number; chunk: LogChunk }[]> {
    const attempt = Math.floor(position / PER_ATTEMPT);
    const seq = (position % PER_ATTEMPT) - 1;
    const rows = await this.#database.read
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
}
