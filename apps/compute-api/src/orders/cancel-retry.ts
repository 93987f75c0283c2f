import { type Call, failureOf, PlatformError } from '@morpheo/common';
import { closeAttempt } from '../attempts/fence.ts';
import type { ComputeDatabase, Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { PIN_ORDER } from '../outbox/effects.ts';
import type { OpenOrders } from '../owners/open-orders.ts';
import { checkOrderOwner } from '../owners/owners.ts';
import { findRemoved } from '../retention/removed-orders.ts';
import { endOrder } from './finish.ts';
import { startsOf } from './place.ts';
import { noSuchOrder } from './queries.ts';
import { changeOrder, takeOrder } from './store.ts';

/**
 * Ends an order that has not ended; again: nothing changes. Throws `not_found`, `wrong_state`, and `forbidden` to a
 * person whose order it is not.
 */
export async function cancelOrder(
  database: ComputeDatabase,
  id: string,
  principal: Call['principal'],
): Promise<OrderRow> {
  return await database.write(async (tx) => {
    const order = await takeOf(tx, id, principal);
    const { status, lease_until } = order;
    if (status === 'cancelled') return order;
    if (status === 'done' || status === 'failed') {
      throw new PlatformError(
        'wrong_state',
        `Order ${id} is ${status}: it has ended and cannot be cancelled.`,
      );
    }
    if (status === 'pending' && lease_until === null) {
      throw new PlatformError('wrong_state', `Order ${id} has its result already, which is being published.`);
    }
    return await cancelTaken(tx, order, nameOf(principal));
  });
}

/** Ends an order that this transaction has locked, which has not ended and has no result yet; `by` says who wants it. */
export async function cancelTaken(tx: Tx, order: OrderRow, by: string): Promise<OrderRow> {
  const failure = failureOf('order_cancelled', { message: `Cancelled by ${by}.` });
  const cancelled = await endOrder(tx, order, { status: 'cancelled', failure });
  if (order.lease_until !== null) await closeAttempt(tx, order, 'cancelled');
  return cancelled;
}

/**
 * Begins a failed or cancelled order again: it is checked again, and has all its attempts before it. Throws as
 * {@link cancelOrder} does, and `rate_limited` where its owner may have no more open orders.
 */
export async function retryOrder(
  database: ComputeDatabase,
  openOrders: OpenOrders,
  id: string,
  principal: Call['principal'],
): Promise<OrderRow> {
  const owner = await database.read
    .selectFrom('orders')
    .select('owner')
    .where('id', '=', id)
    .executeTakeFirst();
  using place = owner === undefined ? undefined : await openOrders.place(owner.owner);
  const retried = await database.write(async (tx) => {
    const order = await takeOf(tx, id, principal);
    if (order.status !== 'failed' && order.status !== 'cancelled') {
      throw new PlatformError(
        'wrong_state',
        `Order ${id} is ${order.status}: only what failed or was cancelled can be tried again.`,
      );
    }
    if (place?.refusal !== undefined) throw place.refusal;
    return await retryTaken(tx, order, nameOf(principal));
  });
  place?.keep();
  return retried;
}

/** Begins an order again that this transaction has locked, and that has failed or was cancelled. */
export async function retryTaken(tx: Tx, order: OrderRow, by: string): Promise<OrderRow> {
  const [start = { status: 'waiting', waits_for: null }] = await startsOf(tx, [order]);
  return await changeOrder(tx, order, {
    event: 'retried',
    details: { by },
    set: { ...FRESH, ...start, due_at: tx.now, round: order.round + 1 },
    effects: [
      ...(order.result === null ? [] : [{ do: 'remove_result', attempt: order.attempt } as const]),
      ...(start.waits_for === null ? [PIN_ORDER] : []),
    ],
  });
}

const FRESH = {
  charged: 0,
  lost_beside: 0,
  failure: null,
  result: null,
  reason: null,
  ended_at: null,
  pin: null,
  worker: null,
  boot: null,
  publishes: 0,
} as const;

async function takeOf(tx: Tx, id: string, principal: Call['principal']): Promise<OrderRow> {
  const order = await takeOrder(tx, id);
  if (order === undefined) throw noSuchOrder(id, await findRemoved(tx, id));
  checkOrderOwner(order.owner, principal);
  return order;
}

/** What the history calls who asked for something. */
export function nameOf(principal: Call['principal']): string {
  return principal?.name ?? 'an unnamed caller';
}
