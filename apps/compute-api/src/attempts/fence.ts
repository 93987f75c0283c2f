import { type AttemptOutcome, PlatformError, type Settled } from '@morpheo/common';
import { sql } from 'kysely';
import type { Tx } from '../db/database.ts';
import type { AttemptRow, OrderRow } from '../db/schema.ts';
import { takeOrder } from '../orders/store.ts';
import { isOfOthers } from '../workers/store.ts';

/** An attempt as its worker names it. */
export interface AttemptRef {
  readonly order: string;
  readonly attempt: number;
}

/** An attempt, and the name of who calls for it; null where nobody is asked for credentials. */
export interface CalledAttempt extends AttemptRef {
  readonly caller: string | null;
}

/** The fence of every write of an attempt: throws `stale_attempt` unless the order runs exactly this attempt. */
export function fence(order: OrderRow | undefined, ref: AttemptRef): asserts order is OrderRow {
  if (order === undefined) throw new PlatformError('not_found', `There is no order ${ref.order}.`);
  if (order.lease_until === null || order.attempt !== ref.attempt) {
    throw new PlatformError(
      'stale_attempt',
      `Attempt ${ref.attempt} of order ${ref.order} does not run any more: the order is ${order.status}, its latest attempt is ${order.attempt}. Stop, and drop the result.`,
    );
  }
}

/** What is known of an attempt when it calls. */
export type KnownAttempt = Pick<AttemptRow, 'started_at' | 'log_bytes' | 'metrics' | 'noted' | 'report'>;

/** An attempt that was, or is, of an order, both locked for this transaction. */
export interface TakenAttempt {
  readonly order: OrderRow;
  readonly known: KnownAttempt;
  /** Throws as {@link fence} does, and `forbidden` where the order's worker is of another caller. */
  readonly requireCurrent: () => void;
}

/** Takes the attempts that call, in one statement; of one that never was, the answer is the error of {@link fence}. */
export async function takeAttempts(tx: Tx, refs: readonly CalledAttempt[]): Promise<Settled<TakenAttempt>[]> {
  const wanted = sql.join(refs.map(({ order, attempt }) => sql`(${order}, ${sql.lit(attempt)})`));
  const rows = await tx.db
    .selectFrom('orders')
    .innerJoin('attempts', 'attempts.order_id', 'orders.id')
    .where(sql<boolean>`(attempts.order_id, attempts.attempt) in (values ${wanted})`)
    .selectAll('orders')
    .select([
      'attempts.attempt as its_attempt',
      'attempts.started_at as its_start',
      'attempts.log_bytes as its_log_bytes',
      'attempts.metrics as its_metrics',
      'attempts.noted as its_noted',
      'attempts.report as its_report',
    ])
    // A worker keeps its caller while it holds an attempt.
    .select((row) => [
      row
        .selectFrom('workers')
        .select('workers.caller')
        .whereRef('workers.id', '=', 'orders.worker')
        .as('its_caller'),
    ])
    .orderBy('orders.id')
    .forUpdate()
    .execute();
  const taken = new Map(rows.map((row) => [`${row.id} ${row.its_attempt}`, row]));
  return await Promise.allSettled(
    refs.map(async (ref) => {
      const row = taken.get(`${ref.order} ${ref.attempt}`);
      if (row === undefined) {
        const order = await takeOrder(tx, ref.order);
        fence(order, ref);
        throw new Error(`The attempt ${ref.attempt} of ${ref.order} runs, and has no row.`);
      }
      const {
        its_attempt,
        its_start,
        its_log_bytes,
        its_metrics,
        its_noted,
        its_report,
        its_caller,
        ...order
      } = row;
      return {
        order,
        known: {
          started_at: Number(its_start),
          log_bytes: Number(its_log_bytes),
          metrics: its_metrics,
          noted: its_noted,
          report: its_report,
        },
        requireCurrent: () => {
          fence(order, ref);
          const isAnothers = ref.caller !== null && its_caller !== null && its_caller !== ref.caller;
          if (order.worker !== null && isAnothers) throw isOfOthers(order.worker);
        },
      };
    }),
  );
}

/** {@link takeAttempts} of one that runs. */
export async function takeFenced(tx: Tx, ref: CalledAttempt): Promise<TakenAttempt> {
  const [taken] = await takeAttempts(tx, [ref]);
  if (taken?.status !== 'fulfilled') throw taken?.reason;
  taken.value.requireCurrent();
  return taken.value;
}

/** What closes the row of an order's latest attempt: how it ended, with what failure, report and counts, if any. */
export function closingOf(
  { db, now }: Tx,
  { id, attempt }: Pick<OrderRow, 'id' | 'attempt'>,
  outcome: AttemptOutcome,
  end: Partial<Pick<AttemptRow, 'failure' | 'report' | 'log_bytes' | 'metrics' | 'noted'>> = {},
) {
  return db
    .updateTable('attempts')
    .set({ outcome, failure: null, report: null, ...end, ended_at: now })
    .where('order_id', '=', id)
    .where('attempt', '=', attempt);
}

/** Closes the row of an order's latest attempt, as {@link closingOf} says. */
export async function closeAttempt(...end: Parameters<typeof closingOf>): Promise<void> {
  await closingOf(...end).execute();
}
