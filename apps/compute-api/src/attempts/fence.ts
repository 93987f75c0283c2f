import { type AttemptOutcome, PlatformError } from '@morpheo/common';
import type { Tx } from '../db/database.ts';
import type { AttemptRow, OrderRow } from '../db/schema.ts';
import { takeOrder } from '../orders/store.ts';
import { checkCaller } from '../workers/store.ts';

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

/**
 * The order that runs this attempt, locked for this transaction. Throws as {@link fence} does, and `forbidden` where
 * its worker is of another caller.
 */
export async function takeFenced(tx: Tx, ref: CalledAttempt): Promise<OrderRow> {
  const order = await takeOrder(tx, ref.order);
  fence(order, ref);
  await checkCaller(tx, order.worker, ref.caller);
  return order;
}

/** Opens the row of the attempt that an order has just been claimed with. */
export async function openAttempt(
  { db, now }: Tx,
  order: OrderRow,
  worker: string,
  boot: string,
): Promise<void> {
  const { id: order_id, attempt } = order;
  const open = {
    ended_at: null,
    outcome: null,
    failure: null,
    report: null,
    log_bytes: 0,
    metrics: 0,
  } as const;
  await db
    .insertInto('attempts')
    .values({ order_id, attempt, worker, boot, started_at: now, ...open })
    .execute();
}

/** Closes the row of an order's latest attempt: how it ended, with what failure and by which report, if any. */
export async function closeAttempt(
  { db, now }: Tx,
  { id, attempt }: OrderRow,
  outcome: AttemptOutcome,
  end: Partial<Pick<AttemptRow, 'failure' | 'report'>> = {},
): Promise<void> {
  await db
    .updateTable('attempts')
    .set({ outcome, failure: null, report: null, ...end, ended_at: now })
    .where('order_id', '=', id)
    .where('attempt', '=', attempt)
    .execute();
}
