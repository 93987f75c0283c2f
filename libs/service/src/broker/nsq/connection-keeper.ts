import type { PlatformError } from '@morpheo/common';
import type { NSQDConnection } from 'nsqjs';
import { type Loop, startLoop } from '../../lifecycle/index.ts';
import { silentLog } from '../../log/index.ts';
import { formatAddress, type NsqAddress } from './address.ts';
import { closeGently, type OpenConnection } from './connection.ts';
import { explain } from './errors.ts';
import { closeNow } from './nsqjs-patches.ts';
import type { OutageLog } from './outage-log.ts';

/** What a {@link ConnectionKeeper} is made with. */
export interface LinkOptions<C> {
  readonly address: NsqAddress;
  /** For the log, and to tell links to one address apart. */
  readonly purpose: string;
  readonly connect: (signal: AbortSignal) => Promise<OpenConnection<C>>;
  /** Called with each new connection, before anything came from it. */
  readonly onReady?: (connection: C) => void;
  readonly onLost?: (connection: C) => void;
  readonly outages: OutageLog;
}

/** How often it is looked whether the connection is there, in milliseconds, and the base of the back-off. */
const EVERY_MS = 500;
/** The longest pause between two tries. */
const MOST_PAUSE_MS = 5000;
/** A connection that lives this long is well. One that ends sooner may do so again and again. */
const STEADY_MS = 3000;

/** One connection to one nsqd for one purpose, made again whenever it is lost, with back-off and jitter. */
export class ConnectionKeeper<C extends NSQDConnection> {
  readonly #options: LinkOptions<C>;
  readonly #who: string;
  readonly #stop = new AbortController();
  readonly #loop: Loop;
  #open: OpenConnection<C> | undefined;
  #since = 0;
  #state: 'trying' | 'failed' = 'trying';
  #attempt: Promise<C>;

  constructor(options: LinkOptions<C>) {
    this.#options = options;
    this.#who = `${formatAddress(options.address)} ${options.purpose}`;
    this.#attempt = this.#connect();
    const work = async () => await this.#work();
    const log = silentLog;
    this.#loop = startLoop({ name: this.#who, everyMs: EVERY_MS, maxPauseMs: MOST_PAUSE_MS, work, log });
  }

  /** The connection, where there is one. */
  get connection(): C | undefined {
    return this.#open?.connection;
  }

  /** The latest try to connect: the connection, or why there is none, as `unavailable`. */
  get attempt(): Promise<C> {
    return this.#attempt;
  }

  /** Gives the connection up for a reason of ours; another one is made later. */
  drop(connection: C, reason: Error): void {
    if (this.#open?.connection === connection) closeNow(connection, reason);
  }

  /** Ends the connection once all that was sent has arrived. Doing it twice is harmless. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop[Symbol.asyncDispose]();
    await this.#attempt.catch(() => undefined);
    if (this.#open !== undefined) await closeGently(this.#open);
    this.#options.outages.leave(this.#who);
  }

  async #work(): Promise<void> {
    if (this.#open !== undefined) {
      if (performance.now() - this.#since > STEADY_MS) this.#options.outages.over(this.#who);
      return;
    }
    if (this.#state === 'failed') this.#attempt = this.#connect();
    await this.#attempt;
  }

  #connect(): Promise<C> {
    this.#state = 'trying';
    const attempt = this.#establish();
    attempt.catch(() => undefined);
    return attempt;
  }

  async #establish(): Promise<C> {
    const { connect, onReady } = this.#options;
    try {
      const open = await connect(this.#stop.signal);
      this.#open = open;
      this.#since = performance.now();
      open.closed.then((reason) => this.#lost(open, reason)).catch(() => undefined);
      onReady?.(open.connection);
      return open.connection;
    } catch (error) {
      throw this.#note(error);
    }
  }

  #lost({ connection }: OpenConnection<C>, reason: unknown): void {
    this.#open = undefined;
    this.#options.onLost?.(connection);
    if (this.#stop.signal.aborted) return;
    this.#attempt = Promise.reject(this.#note(reason));
    this.#attempt.catch(() => undefined);
    if (performance.now() - this.#since > STEADY_MS) this.#loop.wake();
  }

  #note(reason: unknown): PlatformError {
    const error = explain(this.#options.address, reason);
    this.#state = 'failed';
    if (!this.#stop.signal.aborted) this.#options.outages.note(this.#who, error.message);
    return error;
  }
}
