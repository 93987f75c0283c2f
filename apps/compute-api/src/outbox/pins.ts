import {
  type Api,
  isPlatformError,
  MOST_PINNED,
  type PinAnswer,
  type PinRequest,
  type StorageContract,
} from '@morpheo/common';
import type { OrderRow } from '../db/schema.ts';
import type { CheckAnswer } from '../orders/checked.ts';
import { kindOf } from '../orders/kinds.ts';
import { specOf } from '../orders/store.ts';
import { shownOwner } from '../owners/owners.ts';

/** The call by which storage checks orders, and holds what they name. */
export type PinStorage = Pick<Api<StorageContract>, 'pinOrders'>;

/** What storage is told of an order. */
export function pinRequestOf(
  row: Pick<OrderRow, 'id' | 'kind' | 'round' | 'owner' | 'spec' | 'sample_of'>,
): PinRequest {
  const { id: order, kind, round, owner, sample_of } = row;
  const limits = sample_of === null ? {} : { public_only: true };
  return { order, kind, round, owner: shownOwner(owner), ...kindOf(kind).holdsOf(specOf(row)), ...limits };
}

/** What came of asking for an order: an answer, or why there is none. */
export type Asked = { readonly order: string } & (
  | { readonly answer: CheckAnswer }
  | { readonly error: unknown }
);

/**
 * Asks storage for orders, as many in a call as it takes. Where it refuses a call as a whole for what is in it, the
 * orders are asked for one by one, so that one does not hold up the others. Never throws; one answer for each order.
 */
export async function pinAll(
  storage: PinStorage,
  requests: readonly PinRequest[],
  signal: AbortSignal,
): Promise<Asked[]> {
  const answers: Asked[] = [];
  for (const call of callsOf(requests)) answers.push(...(await pinTogether(storage, call, signal)));
  return answers;
}

async function pinTogether(
  storage: PinStorage,
  orders: readonly PinRequest[],
  signal: AbortSignal,
): Promise<Asked[]> {
  try {
    const { pins } = await storage.pinOrders({ body: { orders: [...orders] } }, { signal });
    return orders.map(({ order }, index) => answerFor(order, pins[index]));
  } catch (error) {
    if (!isPlatformError(error, 'invalid_request', 'too_large')) {
      return orders.map(({ order }) => ({ order, error }));
    }
    const [only, ...others] = orders;
    if (only === undefined) return [];
    if (others.length === 0) return [unfit(only, error.message)];
    const single = orders.map(async (order) => await pinTogether(storage, [order], signal));
    return (await Promise.all(single)).flat();
  }
}

function answerFor(order: string, answer: PinAnswer | undefined): Asked {
  if (answer?.order === order) return { order, answer };
  return { order, error: new Error(`Storage gave no answer for order ${order}.`) };
}

/** Of an order that storage does not understand: trying again would not change that. */
function unfit({ order }: PinRequest, why: string): Asked {
  const message = `Storage cannot check the order: ${why}`.slice(0, 4000);
  return { order, answer: { outcome: 'refused', reason: 'internal', message } };
}

/** Orders in the calls that storage takes: so many at once, and so many things named in all. */
function callsOf(requests: readonly PinRequest[]): PinRequest[][] {
  const calls: PinRequest[][] = [];
  let uses = 0;
  for (const request of requests) {
    const call = calls.at(-1);
    uses += request.uses.length;
    if (call === undefined || call.length >= MOST_PINNED.orders || uses > MOST_PINNED.uses) {
      calls.push([request]);
      uses = request.uses.length;
    } else call.push(request);
  }
  return calls;
}
