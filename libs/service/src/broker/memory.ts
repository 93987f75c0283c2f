import { PlatformError } from '@morpheo/common';
import { type Log, silentLog } from '../log/index.ts';
import type { Broker, Subscribe, Subscription } from './broker.ts';
import { MemoryChannel } from './memory-channel.ts';
import { checkMessage, checkName, checkNames } from './names.ts';

/** What {@link openMemoryBroker} may be given. */
export interface MemoryBrokerOptions {
  /** How many messages wait in a channel at most; beyond, the oldest is dropped. 10,000 where absent. */
  readonly capacity?: number;
  readonly log?: Log;
}

/** A broker inside this process; see the contract of {@link Broker}. */
export function openMemoryBroker(options: MemoryBrokerOptions = {}): Broker {
  return new MemoryBroker(options.capacity ?? 10_000, options.log ?? silentLog);
}

class MemoryBroker implements Broker {
  readonly #capacity: number;
  readonly #log: Log;
  readonly #topics = new Map<string, Map<string, MemoryChannel>>();
  readonly #subscriptions = new Set<Subscription>();
  #ending: Promise<void> | undefined;
  #closed = false;

  constructor(capacity: number, log: Log) {
    this.#capacity = capacity;
    this.#log = log;
  }

  async publish(topic: string, message: string): Promise<void> {
    checkName('topic', topic);
    checkMessage(message);
    this.#assertOpen();
    for (const channel of this.#topics.get(topic)?.values() ?? []) channel.add(message);
  }

  async subscribe(options: Subscribe): Promise<Subscription> {
    checkNames(options);
    this.#assertOpen(this.#ending !== undefined);
    const { topic, channel: name, transient = false } = options;
    const channel = this.#channel(topic, name);
    const subscription = channel.subscribe(options.concurrency ?? 1, options.handle, () => {
      this.#subscriptions.delete(subscription);
      if (transient && !channel.isHeard) this.#topics.get(topic)?.delete(name);
    });
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async ping(): Promise<void> {
    this.#assertOpen();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()));
    this.#closed = true;
    this.#topics.clear();
  }

  #channel(topic: string, name: string): MemoryChannel {
    const channels = this.#topics.get(topic) ?? new Map<string, MemoryChannel>();
    this.#topics.set(topic, channels);
    const known = channels.get(name);
    if (known !== undefined) return known;
    const channel = new MemoryChannel(this.#capacity, this.#log.child({ topic, channel: name }));
    channels.set(name, channel);
    return channel;
  }

  #assertOpen(closed = this.#closed): void {
    if (closed) throw new PlatformError('unavailable', 'The broker in this process is closed.');
  }
}
