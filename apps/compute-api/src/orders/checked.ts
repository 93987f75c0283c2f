import { type End, type Failure, failureOf, type PinAnswer } from '@morpheo/common';
import { sql } from 'kysely';
import { closeAttempt } from '../attempts/fence.ts';
import type { ComputeSettings } from '../config.ts';
import type { Tx } from '../db/database.ts';
import type { OrderRow } from '../db/schema.ts';
import { obstacleOf } from '../foreign/limits.ts';
import { PIN_ORDER } from '../outbox/effects.ts';
import { endOrder } from './finish.ts';
import { kindOf } from './kinds.ts';
import { changeOrder, type Pin, specOf, takeOrder } from './store.ts';

/** What storage says of an order; or that it will never have it, for a reason of its own or of ours. */
export type CheckAnswer =
  | Exclude<PinAnswer, { outcome: 'refused' }>
  | { readonly outcome: 'refused'; readonly reason: keyof typeof REFUSALS; readonly message: string };

/** How an order ends that is refused, by the reason. */
const REFUSALS = {
  forbidden: 'input_refused',
  input_not_found: 'inputs_missing',
  invalid_result: 'result_id_taken',
  internal: 'platform_failed',
} as const satisfies Record<string, End>;

/** What decides when the message about an order comes that has become due. */
type Messages = Pick<ComputeSettings, 'foreignWorkers' | 'wakeAgainMs'>;

/** Whether an order still waits for the answer to its effect `n`: since then it may have ended, or begun again. */
export function isAwaited(
  order: Pick<OrderRow, 'status' | 'lease_until' | 'waits_for' | 'pin' | 'effects'>,
  n: number,
): boolean {
  const isOpen = order.status === 'waiting' ? order.waits_for === null : order.lease_until !== null;
  return isOpen && order.pin === null && order.effects === n;
}

/**
 * What storage's answer to the effect `n` of an order changes: a worker may take it, or it has failed, as do those that
 * are for workers of the originals where these could not run them. Resolves with the order where workers are to be
 * woken for it.
 */
export async function onChecked(
  tx: Tx,
  { order: id, n }: { readonly order: string; readonly n: number },
  answer: CheckAnswer,
  messages: Messages,
): Promise<OrderRow | undefined> {
  const order = await takeOrder(tx, id);
  if (order === undefined || !isAwaited(order, n)) return undefined;
  switch (answer.outcome) {
    case 'pinned': {
      const isForForeign = messages.foreignWorkers !== undefined;
      const obstacle = isForForeign ? obstacleOf(order, answer.policy) : undefined;
      if (obstacle === undefined) return await pinned(tx, order, answer, messages);
      await refused(tx, order, obstacle);
      return undefined;
    }
    case 'refused':
      await refused(
        tx,
        order,
        failureOf(REFUSALS[answer.reason], { message: answer.message, step: 'inputs' }),
      );
      return undefined;
    case 'stale':
      await askAnew(tx, order);
      return undefined;
  }
}

type Answer<O extends CheckAnswer['outcome']> = Extract<CheckAnswer, { outcome: O }>;

async function pinned(
  tx: Tx,
  order: OrderRow,
  answer: Answer<'pinned'>,
  { foreignWorkers, wakeAgainMs }: Messages,
): Promise<OrderRow | undefined> {
  const { pin, produces, policy } = answer;
  const spec = kindOf(order.kind).withResult(specOf(order), produces.uuid);
  const held = { pin: JSON.stringify({ pin, produces, policy } satisfies Pin), spec: JSON.stringify(spec) };
  if (order.status === 'pending') {
    await changeOrder(tx, order, { event: 'checked', set: held });
    return undefined;
  }
  const due_at = sql<number>`case when due_at > ${tx.now} then due_at else ${tx.now} end`;
  // The caller announces it after the commit; if that fails it is due soon by itself. What is for workers of the
  // originals is published in one place alone, so that it is published once.
  const due =
    foreignWorkers === undefined
      ? { due_at, publishes: 1, publish_after: sql<number>`${tx.now} + ${wakeAgainMs}` }
      : { due_at, publishes: 0, publish_after: tx.now };
  return await changeOrder(tx, order, { event: 'checked', set: { ...held, status: 'todo', ...due } });
}

async function refused(tx: Tx, order: OrderRow, failure: Failure): Promise<void> {
  await endOrder(tx, order, { status: 'failed', failure });
  // An attempt from before orders were checked.
  if (order.lease_until !== null)
    await closeAttempt(tx, order, 'failed', { failure: JSON.stringify(failure) });
}

/** Storage has let go of this round although it goes on here. */
async function askAnew(tx: Tx, order: OrderRow): Promise<void> {
  const details = { by: 'the platform: storage knows a later round of the order' };
  const set = { round: order.round + 1 };
  await changeOrder(tx, order, { event: 'retried', details, set, effects: [PIN_ORDER] });
}
