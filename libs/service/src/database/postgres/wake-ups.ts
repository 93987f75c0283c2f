import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import type { Log } from '../../log/index.ts';
import type { Channels, Heard } from '../channels.ts';
import { nameOf } from './address.ts';
import { clientConfig, sessionSettings } from './client-config.ts';
import { fromPostgresError } from './errors.ts';
import type { ConnectionPool, PoolOptions } from './pool.ts';

/** Between two tries to listen again, in milliseconds: doubled from the first to the most. */
const PAUSE = { firstMs: 100, mostMs: 10_000 };
/** How often a connection that hears nothing is asked whether it still is one, and who else there is. */
const CHECK_MS = 15_000;
/** The most texts that wait to be told; what comes on top is lost, as any hint may be. */
const MOST_WAITING = 10_000;
const MOST_AT_ONCE = 500;

/** A hint that is lost with the server is no matter, so that nobody waits for the disk. */
const NOTIFY = `select set_config('synchronous_commit', 'off', true), pg_notify($1, text) from unnest($2::text[]) as text`;
/** The channel on which openings tell one another that they listen; nobody else listens there. */
const GREETINGS = 'greetings';
/** Stands for openings that listen and are not known by name. */
const SOMEBODY = 'somebody';
/** How long an opening that begins to listen waits for the answers of the others, in milliseconds. */
const ANSWERS_MS = 2000;

/**
 * Notifications between all openings of a database, by LISTEN and NOTIFY. They are sent apart from the writes that
 * they are about: PostgreSQL lets transactions that notify commit one by one alone. An opening that listens, and knows that
 * nobody else does, sends nothing: whoever begins to listen greets those who are there, and they answer.
 */
export class WakeUps {
  readonly #options: PoolOptions;
  readonly #pool: ConnectionPool;
  readonly #channels: Channels;
  readonly #log: Log;
  readonly #origin = randomUUID();
  readonly #waiting = new Set<string>();
  readonly #stop = new AbortController();
  /** The other openings that this one has heard of since it listens. */
  #known = new Set<string>();
  /** The same, once those are all; undefined before, when others may count on being told though they are not known yet. */
  #others: Set<string> | undefined;
  #answered: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #listening: Promise<void> | undefined;

  constructor(options: PoolOptions, pool: ConnectionPool, channels: Channels) {
    this.#options = options;
    this.#pool = pool;
    this.#channels = channels;
    this.#log = options.log.child({ database: nameOf(options.address) });
  }

  /** See `Database.notify`. */
  notify(channel: string, text: string): void {
    this.#channels.deliver(channel, text, 'here');
    if (this.#others?.size !== 0) this.#tell(channel, text);
  }

  #tell(channel: string, text: string): void {
    if (this.#stop.signal.aborted || this.#waiting.size >= MOST_WAITING) return;
    this.#waiting.add(`${this.#origin} ${channel} ${text}`);
    this.#sending ??= this.#send();
  }

  /** See `Database.listen`. */
  listen(channel: string, heard: Heard, begins?: () => void): Disposable {
    const listener = this.#channels.listen(channel, heard, begins);
    this.#listening ??= this.#listenOnAndOn();
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#others !== undefined && this.#others.size > 0) this.#tell(GREETINGS, 'goodbye');
    this.#stop.abort();
    await Promise.all([this.#sending, this.#listening]);
  }

  /** All that is notified while a message is on its way goes with the next one. */
  async #send(): Promise<void> {
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const texts = [...this.#waiting].slice(0, MOST_AT_ONCE);
      for (const text of texts) this.#waiting.delete(text);
      try {
        await this.#pool.query(NOTIFY, [this.#topic, texts]);
      } catch (error) {
        this.#waiting.clear();
        this.#log.debug({ error }, 'other services could not be notified; they look by themselves');
      }
    }
    this.#sending = undefined;
  }

  async #listenOnAndOn(): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = PAUSE.firstMs;
    let state: 'hears' | 'deaf' = 'hears';
    while (!signal.aborted) {
      const reason = await this.#listenOnce(() => {
        if (state === 'deaf') this.#log.info({}, 'notifications of other services are heard again');
        pauseMs = PAUSE.firstMs;
        state = 'hears';
        this.#channels.begin();
      });
      if (signal.aborted) return;
      if (state === 'hears') {
        const error = fromPostgresError(reason, nameOf(this.#options.address));
        this.#log.warn({ error }, 'notifications of other services are not heard; it is tried again');
      }
      state = 'deaf';
      await pause(pauseMs * (0.5 + Math.random() / 2), signal);
      pauseMs = Math.min(2 * pauseMs, PAUSE.mostMs);
    }
  }

  /** Listens until the connection is lost, and resolves with why. */
  async #listenOnce(listens: () => void): Promise<unknown> {
    const { address, times, name } = this.#options;
    const client = new Client(clientConfig(address, times, `${name}_listener`));
    const { promise: lost, resolve: lose } = Promise.withResolvers<unknown>();
    const stop = (): void => lose(undefined);
    client.on('error', lose);
    client.on('end', () => lose(new Error('Connection terminated')));
    client.on('notification', ({ payload = '' }) => this.#hear(payload));
    this.#stop.signal.addEventListener('abort', stop, { once: true });
    try {
      await client.connect();
      await client.query(sessionSettings(times));
      await client.query(`listen "${this.#topic}"`);
      this.#others = await this.#greet(client);
      listens();
      const check = setInterval(() => void this.#lookForOthers(client).catch(lose), CHECK_MS);
      return await lost.finally(() => clearInterval(check));
    } catch (error) {
      return error;
    } finally {
      this.#stop.signal.removeEventListener('abort', stop);
      this.#others = undefined;
      await client.end().catch(() => undefined);
    }
  }

  /** Tells the others that this opening listens, waits for a while until all of them know, and returns who they are. */
  async #greet(client: Client): Promise<Set<string>> {
    const known = new Set<string>();
    this.#known = known;
    const others = await this.#countOthers(client);
    this.#tell(GREETINGS, 'hello');
    if (others === 0) return known;
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ANSWERS_MS);
    this.#answered = () => {
      if (known.size >= others) resolve();
    };
    this.#answered();
    await answered;
    clearTimeout(timer);
    this.#answered = undefined;
    if (known.size < others) known.add(SOMEBODY);
    return known;
  }

  /** Finds whoever listens and was not heard of: a greeting may be lost, and an earlier version sends none. */
  async #lookForOthers(client: Client): Promise<void> {
    const others = await this.#countOthers(client);
    if (this.#known.size < others) this.#known.add(SOMEBODY);
  }

  async #countOthers(client: Client): Promise<number> {
    const { rows } = await client.query<{ others: number }>(
      `select count(*)::integer as others from pg_stat_activity
        where datname = current_database() and application_name = $1 and pid <> pg_backend_pid()`,
      [`${this.#options.name}_listener`],
    );
    return rows[0]?.others ?? 0;
  }

  #hear(payload: string): void {
    const [origin = '', channel = '', ...words] = payload.split(' ');
    if (origin === this.#origin) return;
    const text = words.join(' ');
    if (channel === GREETINGS && text === 'goodbye') this.#known.delete(origin);
    else this.#known.add(origin);
    if (channel !== GREETINGS) this.#channels.deliver(channel, text, 'elsewhere');
    else if (text === 'hello') this.#tell(GREETINGS, 'here');
    this.#answered?.();
  }

  /** Services that share a database have channels of their own. */
  get #topic(): string {
    return `morpheo_${this.#options.name}`;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
