import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Message, NSQDConnection } from 'nsqjs';
import type { Log } from '../../log/index.ts';
import type { Subscribe, Subscription } from '../broker.ts';
import { formatAddress, type NsqAddress } from './address.ts';
import { type ConnectionOptions, openReader } from './connection.ts';
import { ConnectionKeeper } from './connection-keeper.ts';
import { Flow } from './flow.ts';
import type { OutageLog } from './outage-log.ts';

/** What a {@link NsqSubscription} is made with. */
export interface SubscriptionParts {
  readonly connection: ConnectionOptions;
  readonly outages: OutageLog;
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
  readonly #keepers = new Map<string, ConnectionKeeper<NSQDConnection>>();
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
    for (const [key, keeper] of this.#keepers) {
      if (wanted.has(key) || keeper.connection !== undefined) continue;
      this.#keepers.delete(key);
      keeper[Symbol.asyncDispose]().catch(() => undefined);
    }
    for (const [key, address] of wanted) {
      if (!this.#keepers.has(key)) this.#keepers.set(key, this.#keeperOf(address));
    }
    await Promise.allSettled([...this.#keepers.values()].map(async (keeper) => await keeper.attempt));
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
    await Promise.all([...this.#keepers.values()].map(async (keeper) => await keeper[Symbol.asyncDispose]()));
  }

  #keeperOf(address: NsqAddress): ConnectionKeeper<NSQDConnection> {
    const { topic, channel: name, transient = false } = this.#what;
    const channel = transient ? `${name}${TRANSIENT_MARK}` : name;
    const { connection, outages } = this.#parts;
    return new ConnectionKeeper({
      address,
      purpose: `hear ${topic}/${channel}`,
      connect: async (signal) => await openReader(address, connection, { topic, channel }, signal),
      onReady: (connection) => {
        const flow: Flow = new Flow(connection, (message) => this.#take(message, flow));
        this.#flows.set(connection, flow);
        this.#balance();
      },
      onLost: (connection) => {
        this.#flows.delete(connection);
        this.#balance();
      },
      outages,
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

/** The longest time between two signs of life, so that no setting of nsqd overflows a timer. */
const MOST_MS = 60_000;

/**
 * Keeps nsqd from giving a message to somebody else while its handler runs. Beyond the time that nsqd allows whatever
 * it is told, the message is finished, for then it would be handled twice.
 */
function keepInFlight(message: Message, messageTimeoutMs: number): Disposable {
  const everyMs = Math.min(messageTimeoutMs / 3, MOST_MS);
  const timer = setInterval(() => {
    const leftMs = message.timeUntilTimeout(true) ?? 0;
    if (leftMs > 2 * everyMs) message.touch();
    else message.finish();
  }, everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
