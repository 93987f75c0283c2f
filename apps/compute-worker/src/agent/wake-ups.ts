import { CANCEL_TOPIC, ORDER_KINDS, type OrderKind, type Slots, TOPICS } from '@morpheo/common';
import type { Broker, Subscription } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';

/** What to do with messages of the broker. */
export interface WakeUpOptions {
  readonly broker: Broker;
  readonly worker: string;
  /** The messages of kinds without slots are left to other workers. */
  readonly slots: Slots;
  /** An order may be due. Which one is then claimed is decided by compute-api, so the message is not read. */
  readonly onDue: () => void;
  /** An order was cancelled. */
  readonly onCancelled: (order: string) => void;
  readonly log: Log;
}

/** Subscriptions of the broker. Nothing depends on them, and every message is finished as soon as it has arrived. */
export interface WakeUps {
  /** Leaves the messages of a kind of order to other workers. */
  pause(kind: OrderKind): void;
  /** Takes the messages of a kind of order again. */
  resume(kind: OrderKind): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The original workers' channel (wire format of the queue). */
const CHANNEL = 'compute';

/** Subscribes to the broker. Where that fails it is logged: the worker polls compute-api anyway. */
export async function subscribeWakeUps(options: WakeUpOptions): Promise<WakeUps> {
  const { broker, worker, slots, onDue, onCancelled, log } = options;
  await using stack = new AsyncDisposableStack();
  const byKind = new Map<OrderKind, Subscription>();
  const due = async () => onDue();
  const cancelled = async (message: string) => onCancelled(message.trim().toLowerCase());
  // Side by side, as a broker that does not answer is waited for.
  const subscriptions = await Promise.allSettled([
    ...ORDER_KINDS.filter((kind) => (slots[kind] ?? 0) > 0).map(async (kind) => {
      const subscribe = { topic: TOPICS[kind], channel: CHANNEL, handle: due };
      byKind.set(kind, stack.use(await broker.subscribe(subscribe)));
    }),
    // A channel of its own, for every worker has to receive it, and none that stays when the worker has gone.
    broker
      .subscribe({ topic: CANCEL_TOPIC, channel: `worker-${worker}`, transient: true, handle: cancelled })
      .then((subscription) => stack.use(subscription)),
  ]);
  for (const result of subscriptions) {
    if (result.status === 'fulfilled') continue;
    log.warn({ error: result.reason }, 'The broker cannot be subscribed to: new orders are found by polling');
  }
  const opened = stack.move();
  return {
    pause: (kind) => byKind.get(kind)?.pause(),
    resume: (kind) => byKind.get(kind)?.resume(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
