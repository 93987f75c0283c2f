import type { Log } from '../log/index.ts';
import type { Subscribe, Subscription } from './broker.ts';

type Handle = Subscribe['handle'];

/** The messages that wait in one channel of a topic, and those who take them from it. */
export class MemoryChannel {
  readonly #capacity: number;
  readonly #log: Log;
  readonly #waiting: string[] = [];
  readonly #subscribers = new Set<Subscriber>();
  #dropped = 0;
  #scheduled: NodeJS.Immediate | undefined;

  constructor(capacity: number, log: Log) {
    this.#capacity = capacity;
    this.#log = log;
  }

  /** Whether anybody subscribes. */
  get isHeard(): boolean {
    return this.#subscribers.size > 0;
  }

  /** Adds a message, and drops the oldest where there is no room. */
  add(message: string): void {
    this.#waiting.push(message);
    if (this.#waiting.length > this.#capacity) this.#drop();
    this.schedule();
  }

  /** Hands messages to a handler, as many at once as `concurrency` says; `onClose` is told when that has ended. */
  subscribe(concurrency: number, handle: Handle, onClose: () => void): Subscription {
    const subscriber = new Subscriber(this, concurrency, handle, this.#log, () => {
      this.#subscribers.delete(subscriber);
      onClose();
    });
    this.#subscribers.add(subscriber);
    this.schedule();
    return subscriber;
  }

  /** Hands messages out soon. Not at once: a publisher does not wait for handlers, nor do they starve the process. */
  schedule(): void {
    if (this.#scheduled !== undefined || this.#waiting.length === 0) return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      this.#handOut();
    });
  }

  #handOut(): void {
    for (const subscriber of [...this.#subscribers]) {
      while (subscriber.hasRoom && this.#waiting.length > 0) subscriber.take(this.#waiting.shift() ?? '');
      // Who was served goes to the end of the line, so that the next message is another one's.
      if (this.#subscribers.delete(subscriber)) this.#subscribers.add(subscriber);
    }
  }

  #drop(): void {
    this.#waiting.shift();
    this.#dropped += 1;
    // At 1, 2, 4, 8, … so that a flood of messages does not become a flood of lines.
    if (Number.isInteger(Math.log2(this.#dropped))) {
      this.#log.warn(
        { dropped: this.#dropped, capacity: this.#capacity },
        'channel is full, oldest messages dropped',
      );
    }
  }
}

class Subscriber implements Subscription {
  readonly #channel: MemoryChannel;
  readonly #concurrency: number;
  readonly #handle: Handle;
  readonly #log: Log;
  readonly #onClose: () => void;
  readonly #running = new Set<Promise<void>>();
  #state: 'open' | 'paused' | 'closed' = 'open';

  constructor(channel: MemoryChannel, concurrency: number, handle: Handle, log: Log, onClose: () => void) {
    this.#channel = channel;
    this.#concurrency = concurrency;
    this.#handle = handle;
    this.#log = log;
    this.#onClose = onClose;
  }

  get hasRoom(): boolean {
    return this.#state === 'open' && this.#running.size < this.#concurrency;
  }

  take(message: string): void {
    const run = this.#run(message).finally(() => {
      this.#running.delete(run);
      this.#channel.schedule();
    });
    this.#running.add(run);
  }

  pause(): void {
    if (this.#state === 'open') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state === 'closed') return;
    this.#state = 'open';
    this.#channel.schedule();
  }

  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = 'closed';
    await this.drain();
    this.#onClose();
  }

  async #run(message: string): Promise<void> {
    try {
      await this.#handle(message);
    } catch (error) {
      this.#log.warn({ error }, 'a message could not be handled; it does not come again');
    }
  }
}
