import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Message, NSQDConnection } from 'nsqjs';
import type { Log } from '../../log/index.ts';
import type { Subscribe, Subscription } from '../broker.ts';
import { formatAddress, type NsqAddress } from './address.ts';
import { type NsqSecurity, openReader } from './connection.ts';
import { Flow } from './flow.ts';
import { keepInFlight } from './keep-in-flight.ts';
import { Link } from './link.ts';
import type { Troubles } from './troubles.ts';

/** What a {@link NsqSubscription} is made with. */
export interface SubscriptionParts {
  readonly security: NsqSecurity;
  readonly troubles: Troubles;
  readonly log: Log;
}

/** Messages that were on their way when we asked for no more arrive within this time, and go back. */
const LINGER_MS = 50;

/** What nsqd knows channels by that go with their last client. */
const TRANSIENT_MARK = '#ephemeral';

/** One channel of one topic, heard at any number of nsqds, which may come and go. */
export class NsqSubscription implements Subscription {
  readonly #what: Subscribe;
  readonly #parts: SubscriptionParts;
  readonly #concurrency: number;
  readonly #links = new Map<string, Link<NSQDConnection>>();
  readonly #flows = new Map<NSQDConnection, Flow>();
  readonly #running = new Set<Promise<void>>();
  #state: 'open' | 'paused' | 'closed' = 'open';
  #ending: Promise<void> | undefined;

  constructor(what: Subscribe, parts: SubscriptionParts) {
    this.#what = what;
    this.#parts = parts;
    this.#concurrency = what.concurrency ?? 1;
  }

  /** Hears these nsqds; leaves others that are not connected. Resolves when each has been tried once. */
  async follow(addresses: readonly NsqAddress[]): Promise<void> {
    if (this.#state === 'closed') return;
    const wanted = new Map(addresses.map((address) => [formatAddress(address), address]));
    for (const [key, link] of this.#links) {
      if (wanted.has(key) || link.connection !== undefined) continue;
      this.#links.delete(key);
      link[Symbol.asyncDispose]().catch(() => undefined);
    }
    for (const [key, address] of wanted) {
      if (!this.#links.has(key)) this.#links.set(key, this.#linkTo(address));
    }
    await Promise.allSettled([...this.#links.values()].map(async (link) => await link.attempt));
  }

  pause(): void {
    if (this.#state === 'open') this.#state = 'paused';
    this.#balance();
  }

  resume(): void {
    if (this.#state === 'paused') this.#state = 'open';
    this.#balance();
  }

  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#state = 'closed';
    this.#balance();
    await this.drain();
    if (this.#flows.size > 0) await pause(LINGER_MS);
    // And what has arrived is read, however late this process has got its turn.
    await nextTurn();
    await Promise.all([...this.#links.values()].map(async (link) => await link[Symbol.asyncDispose]()));
  }

  #linkTo(address: NsqAddress): Link<NSQDConnection> {
    const { topic, channel: name, transient = false } = this.#what;
    const channel = transient ? `${name}${TRANSIENT_MARK}` : name;
    const { security, troubles } = this.#parts;
    return new Link({
      address,
      purpose: `hear ${topic}/${channel}`,
      connect: async (signal) => await openReader(address, security, { topic, channel }, signal),
      onReady: (connection) => {
        const flow: Flow = new Flow(connection, (message) => this.#take(message, flow));
        this.#flows.set(connection, flow);
        this.#balance();
      },
      onLost: (connection) => {
        this.#flows.delete(connection);
        this.#balance();
      },
      troubles,
    });
  }

  /**
   * Asks each nsqd for its part of what may still be handled: at least one of each, since none knows of the others.
   * What is too much goes back.
   */
  #balance(): void {
    const free = this.#state === 'open' ? Math.max(0, this.#concurrency - this.#running.size) : 0;
    for (const [index, flow] of [...this.#flows.values()].entries()) {
      const part = Math.floor(free / this.#flows.size) + Number(index < free % this.#flows.size);
      if (this.#state !== 'open') flow.stop();
      else flow.ask(free === 0 ? 0 : Math.max(1, part));
    }
  }

  #take(message: Message, flow: Flow): void {
    if (this.#state !== 'open' || this.#running.size >= this.#concurrency) {
      // To others at once, and without nsqjs holding everything back, as it does where a message failed.
      message.requeue(0, false);
      return;
    }
    const run = this.#run(message, flow).finally(() => {
      this.#running.delete(run);
      this.#balance();
    });
    this.#running.add(run);
    this.#balance();
  }

  async #run(message: Message, flow: Flow): Promise<void> {
    using _handling = flow.handling();
    using _kept = keepInFlight(message, flow.messageTimeoutMs);
    try {
      await this.#what.handle(message.body.toString());
    } catch (error) {
      this.#parts.log.warn({ error }, 'a message could not be handled; it does not come again');
    } finally {
      message.finish();
    }
  }
}
