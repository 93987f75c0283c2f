/**
 * Broker: wakes those who wait. It promises nothing that an order depends on; the database is the truth about orders,
 * and whoever hears nothing asks it. So a message may be lost, may come twice, may come late, may be foreign. The
 * numbers name the sentences that tests show.
 *
 * - [M1] `publish` resolves once the broker has the message, [M2] and rejects with `unavailable` when that is not known
 *   within two seconds. A rejected publication may still arrive.
 * - [M3] Each channel of a topic gets every message of the topic that is published after the channel's first
 *   subscription; [M4] within a channel one subscriber gets it. [M5] Topics and channels are of `[.a-zA-Z0-9_-]{1,64}`;
 *   anything else is `invalid_request`. [M6] An empty message is `invalid_request` too, and one of more than 1 MiB, or
 *   of more than the server takes, `too_large`.
 * - [M7] The handler's message is finished when the handler returns or throws; nothing is ever redelivered because of
 *   an error. [M8] A handler runs for at most `concurrency` messages at once; others wait with the broker.
 * - [M9] `pause` stops deliveries; [M10] those under way go on. [M11] `drain` resolves when no handler runs.
 *   [M12] Disposing pauses, drains and closes; doing it twice is harmless; [M13] handlers under way may still publish.
 *   [M14] After it `publish`, `subscribe` and `ping` reject with `unavailable`.
 * - [M15] A `transient` channel goes with its last subscriber.
 * - [M16] `ping` rejects with `unavailable` and the reason in one line when the broker does not answer, or refuses what
 *   it was asked for lately.
 */
export interface Broker {
  publish(topic: string, message: string): Promise<void>;
  subscribe(options: Subscribe): Promise<Subscription>;
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
