/**
 * Broker: wakes those who wait. It promises nothing that an order depends on; the database is the truth about orders,
 * and whoever hears nothing asks it. So a message may be lost, may come twice, may come late, may be foreign.
 *
 * - `publish` resolves once the broker has the message, and rejects with `unavailable` when that is not known within
 *   two seconds. A rejected publication may still arrive.
 * - Each channel of a topic gets every message of the topic that is published after the channel's first
 *   subscription; within a channel one subscriber gets it. Topics and channels are of `[.a-zA-Z0-9_-]{1,64}`;
 *   anything else is `invalid_request`, and so is an empty message. A message of more than 64 KiB is `too_large`.
 * - The handler's message is finished when the handler returns or throws; nothing is ever redelivered because of an
 *   error. A handler runs for at most `concurrency` messages at once; others wait with the broker.
 * - `pause` stops deliveries; those under way go on. `drain` resolves when no handler runs. Disposing pauses, drains
 *   and closes; handlers under way may still publish, and doing it twice is harmless. After it `publish`, `subscribe`
 *   and `ping` reject with `unavailable`.
 */
export interface Broker {
  publish(topic: string, message: string): Promise<void>;
  subscribe(options: Subscribe): Promise<Subscription>;
  /** Rejects with `unavailable` and the reason in one line when the broker does not answer. */
  ping(signal?: AbortSignal): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What to hear, and what to do then. */
export interface Subscribe {
  readonly topic: string;
  readonly channel: string;
  /** How many messages are handled at once; 1 where absent. */
  readonly concurrency?: number;
  /**
   * The channel goes with its last subscriber, and a broker of several servers may miss what comes first at one of
   * them: for what only concerns who is there. Its name has at most 54 characters.
   */
  readonly transient?: boolean;
  readonly handle: (message: string) => Promise<void>;
}

/** A running subscription; see the contract of {@link Broker}. */
export interface Subscription {
  pause(): void;
  resume(): void;
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
