import { CANCEL_TOPIC, type Failure, type OrderEvent } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Database } from '@morpheo/service/database';
import type { Log } from '@morpheo/service/log';
import type { OrderGroupRow, OrderRow } from '../db/schema.ts';

/** A change of an order that is in its history, and on disk. */
export interface Change {
  readonly event: OrderEvent['what'];
  /** The order as it is since. */
  readonly order: Pick<OrderRow, 'id' | 'kind' | 'status' | 'attempt'> &
    Partial<Pick<OrderRow, 'worker' | 'created_at' | 'ended_at' | 'owner' | 'group_name'>>;
  /** Whether an attempt ran until then. */
  readonly ran?: boolean;
  readonly failure?: Pick<Failure, 'reason' | 'step'> | undefined;
}

/** What is notified between the compute-apis on one database; the text is the id of the order, where it does not say otherwise. */
export const CHANNELS = {
  /** The order's history or log grew: its followers look again. */
  news: 'order_news',
  /** Its state changed as well: something may be due that a dispatcher carries out. */
  change: 'order_change',
  /** The state of an order of a group changed, or it was placed: who watches the group looks again. The text is its key. */
  group: 'group_news',
  /** A search has heard of something, or has ended: who watches it looks again. The text is its id. */
  search: 'search_news',
} as const;

/** What is notified of a group: which one it is, as a text. */
export function groupKeyText({ owner, name }: Pick<OrderGroupRow, 'owner' | 'name'>): string {
  return JSON.stringify([owner, name]);
}

/** After these nothing is due, or the dispatcher itself made them and looks again anyway. A new order has no follower. */
const WITHOUT_WORK: ReadonlySet<Change['event']> = new Set([
  'step_started',
  'step_ended',
  'metrics',
  'told',
  'done',
  'ready',
  'checked',
]);

/** These leave an order in the state that it had. */
const WITHIN_STATE: ReadonlySet<Change['event']> = new Set([
  'step_started',
  'step_ended',
  'metrics',
  'told',
  'resumed',
  'publishing',
]);

/** Notifies every compute-api on the database of changes. */
export function notifyOf(database: Pick<Database<unknown>, 'notify'>): (change: Change) => void {
  return ({ event, order }) => {
    const { owner, group_name: name = null } = order;
    if (owner !== undefined && name !== null && !WITHIN_STATE.has(event))
      database.notify(CHANNELS.group, groupKeyText({ owner, name }));
    if (event === 'accepted') return;
    database.notify(WITHOUT_WORK.has(event) ? CHANNELS.news : CHANNELS.change, order.id);
  };
}

/** Lets workers hear at once that an order was cancelled which one of them runs. */
export function broadcastCancellations(broker: Broker, log: Log): (change: Change) => void {
  return ({ event, order, ran }) => {
    if (event !== 'cancelled' || ran !== true) return;
    broker.publish(CANCEL_TOPIC, order.id).catch((error: unknown) => {
      const text = 'Workers could not be notified of a cancellation; they learn it when they renew';
      log.warn({ order: order.id, error }, text);
    });
  };
}

/** What the log says of a change; the history has the rest. */
const MESSAGES: Readonly<Record<Change['event'], string>> = {
  accepted: 'An order was accepted',
  ready: 'The model that an order waited for is there',
  checked: 'Storage has checked an order, and holds what it names',
  claimed: 'A worker claimed an order',
  resumed: 'A worker was started again, and resumed an order',
  step_started: 'A step started',
  step_ended: 'A step ended',
  metrics: 'A job has told metrics',
  released: 'A worker released an order',
  lost: 'A worker was lost with an order, which is tried again',
  error: 'An attempt broke off, and the order is tried again',
  publishing: 'An attempt has ended with a result, which is being published',
  done: 'An order is done',
  failed: 'An order has failed',
  cancelled: 'An order was cancelled',
  retried: 'An order is tried again, as somebody asked',
  told: 'The orchestrator, or the callback of a job, was notified',
};

/** Of these an order may have many. */
const QUIET: ReadonlySet<Change['event']> = new Set(['step_started', 'step_ended', 'metrics']);

/** Writes a line for each change of an order, with its id. */
export function logChanges(log: Log): (change: Change) => void {
  return ({ event, order, failure }) => {
    const { id, kind, status, attempt, worker } = order;
    const fields = {
      order: id,
      ...(attempt > 0 ? { attempt } : {}),
      kind,
      status,
      ...(event === 'claimed' ? { worker } : {}),
      ...(failure === undefined ? {} : { reason: failure.reason, step: failure.step }),
    };
    if (QUIET.has(event)) log.debug(fields, MESSAGES[event]);
    else log.info(fields, MESSAGES[event]);
  };
}
