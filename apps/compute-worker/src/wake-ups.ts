import type { OrderKind } from '@morpheo/common';
import type { Broker, Subscribe, Subscription } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';

/** What to do when the broker tells something. */
export interface WakeUpOptions {
  readonly broker: Broker;
  readonly worker: string;
  /** An order is said to be due: whichever is the oldest is then claimed, so the message is not looked into. */
  readonly onDue: () => void;
  /** An order was cancelled. */
  readonly onCancelled: (order: string) => void;
  readonly log: Log;
}

/** What the broker tells a worker; nothing depends on it, and every message is finished as soon as it was heard. */
export interface WakeUps {
  /** Leaves the orders of a kind to other workers, or hears of them again. */
  hear(kind: OrderKind, heard: boolean): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The originals' topics and channel (wire format of the queue), and ours for cancelled orders. */
const TOPICS = { learn: 'train', predict: 'prediction' } as const;
const CHANNEL = 'compute';
const CANCEL_TOPIC = 'cancel';

/** Listens to the broker. Where it cannot be had, that is logged: the worker asks by itself anyway. */
export async function hearWakeUps({
  broker,
  worker,
  onDue,
  onCancelled,
  log,
}: WakeUpOptions): Promise<WakeUps> {
  await using stack = new AsyncDisposableStack();
  const byKind = new Map<OrderKind, Subscription>();
  const due = async () => onDue();
  const cancelled = async (message: string) => onCancelled(message.trim().toLowerCase());
  const subscribe = async (what: Subscribe, kind?: OrderKind) => {
    const subscription = stack.use(await broker.subscribe(what));
    if (kind !== undefined) byKind.set(kind, subscription);
  };
  // Side by side, as a broker that does not answer is waited for.
  const heard = await Promise.allSettled([
    subscribe({ topic: TOPICS.learn, channel: CHANNEL, handle: due }, 'learn'),
    subscribe({ topic: TOPICS.predict, channel: CHANNEL, handle: due }, 'predict'),
    // A channel of its own, for every worker has to hear of it, and none that stays when the worker has gone.
    subscribe({ topic: CANCEL_TOPIC, channel: `worker-${worker}`, transient: true, handle: cancelled }),
  ]);
  for (const outcome of heard) {
    if (outcome.status === 'fulfilled') continue;
    log.warn({ error: outcome.reason }, 'The broker cannot be heard: new orders are found by asking alone');
  }
  const opened = stack.move();
  return {
    hear(kind, heard) {
      const subscription = byKind.get(kind);
      if (heard) subscription?.resume();
      else subscription?.pause();
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
