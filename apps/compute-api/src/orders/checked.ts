import { type End, type Failure, failureOf, type PinAnswer } from '@morpheo/common';
import { sql } from 'kysely';
import { closeAttempt } from '../attempts/fence.ts';
import type { ComputeSettings } from '../config.ts';
import { runTogether, type Tx } from '../db/database.ts';
import { type Columns, rowsOf } from '../db/rows.ts';
import type { OrderRow } from '../db/schema.ts';
import { obstacleOf } from '../foreign/limits.ts';
import { PIN_ORDER } from '../outbox/effects.ts';
import { endOrder } from './finish.ts';
import { kindOf } from './kinds.ts';
import { changeOrder, type Pin, specOf, takeOrders } from './store.ts';

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

/** What storage has answered to the effect `n` of an order. */
export interface Checked {
  readonly order: string;
  readonly n: number;
  readonly answer: CheckAnswer;
}

/**
 * What storage's answers change: a worker may take an order, or it has failed, as do those that are for workers of the
 * originals where these could not run them. Those that may be taken change by the same few statements, however many they
 * are. Resolves with the orders that workers are to be woken for.
 */
export async function onChecked(
  tx: Tx,
  checked: readonly Checked[],
  messages: Messages,
): Promise<OrderRow[]> {
  const orders = await takeOrders(
    tx,
    checked.map(({ order }) => order),
  );
  const rows = new Map(orders.map((row) => [row.id, row]));
  const due: Held[] = [];
  for (const { order: id, n, answer } of checked) {
    const order = rows.get(id);
    if (order === undefined || !isAwaited(order, n)) continue;
    const failure = failureBy(answer, order, messages);
    if (failure !== undefined) await refused(tx, order, failure);
    else if (answer.outcome === 'stale') await askAnew(tx, order);
    else if (answer.outcome === 'pinned') {
      const held = { order, ...heldBy(answer, order) };
      if (order.status === 'pending') {
        const { pin, spec } = held;
        await changeOrder(tx, order, { event: 'checked', set: { pin, spec } });
      } else due.push(held);
    }
  }
  return await makeDue(tx, due, messages);
}

type Answer<O extends CheckAnswer['outcome']> = Extract<CheckAnswer, { outcome: O }>;

/** An order, and what is kept of it once storage holds what it names. */
interface Held extends Pick<OrderRow, 'spec'> {
  readonly order: OrderRow;
  readonly pin: string;
}

function failureBy(answer: CheckAnswer, order: OrderRow, { foreignWorkers }: Messages): Failure | undefined {
  if (answer.outcome === 'refused') {
    return failureOf(REFUSALS[answer.reason], { message: answer.message, step: 'inputs' });
  }
  const isForForeign = answer.outcome === 'pinned' && foreignWorkers !== undefined;
  return isForForeign ? obstacleOf(order, answer.policy) : undefined;
}

function heldBy({ pin, inputs, produces, policy }: Answer<'pinned'>, order: OrderRow): Omit<Held, 'order'> {
  const spec = kindOf(order.kind).withResult(specOf(order), produces.uuid);
  return { pin: JSON.stringify({ pin, inputs, produces, policy } satisfies Pin), spec: JSON.stringify(spec) };
}

const HELD: Columns<{ id: string; pin: string; spec: string }> = { id: 'text', pin: 'text', spec: 'text' };
const ENTRY: Columns<{ id: string; n: number; attempt: number }> = {
  ...{ id: 'text', n: 'integer', attempt: 'integer' },
};

/** Lets workers take orders, which this transaction has locked. Returns them as they are now. */
async function makeDue(
  tx: Tx,
  held: readonly Held[],
  { foreignWorkers, wakeAgainMs }: Messages,
): Promise<OrderRow[]> {
  if (held.length === 0) return [];
  const { now } = tx;
  // An order that has ended in the same transaction stays ended, whoever was told of it.
  const waits = tx.changes.length > 0;
  // The caller announces it after the commit; if that fails it is due soon by itself. What is for workers of the
  // originals is published in one place alone, so that it is published once.
  const publish =
    foreignWorkers === undefined
      ? sql`publishes = 1, publish_after = ${now} + ${wakeAgainMs}`
      : sql`publishes = 0, publish_after = ${now}`;
  const values = held.map(({ order: { id }, pin, spec }) => ({ id, pin, spec }));
  const update = sql`
    update orders set pin = posted.pin, spec = posted.spec, status = 'todo', events = events + 1, ${publish},
      due_at = case when due_at > ${now} then due_at else ${now} end
    from ${rowsOf(tx, HELD, values)} where orders.id = posted.id returning orders.id as id`;
  const changed = held.map(({ order, pin, spec }): OrderRow => {
    return { ...order, pin, spec, status: 'todo', events: order.events + 1 };
  });
  const rows = changed.map(({ id, events: n, attempt }) => ({ id, n, attempt }));
  const entries = sql`
    insert into events (order_id, n, at, attempt, what, status, details)
    select id, n, ${now}, attempt, 'checked', 'todo', '{}' from ${rowsOf(tx, ENTRY, rows)}`;
  // What is lost is checked once more, since the effect is back with it.
  await runTogether(tx, update, [entries], { waits });
  for (const order of changed) tx.changes.push({ event: 'checked', order, ran: false, failure: undefined });
  return changed;
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
