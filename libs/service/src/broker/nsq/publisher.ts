import { isPlatformError, PlatformError } from '@morpheo/common';
import type { WriterNSQDConnection } from 'nsqjs';
import { formatAddress, type NsqAddress } from './address.ts';
import { type ConnectionOptions, openWriter } from './connection.ts';
import { ConnectionKeeper } from './connection-keeper.ts';
import { explain, isRefusal, SILENT } from './errors.ts';
import type { OutageLog } from './outage-log.ts';

/**
 * How long a refusal counts, in milliseconds: orders that wait are announced again each minute, and nothing else tells
 * whether it would still be refused.
 */
const REFUSED_MS = 150_000;

/** Publishes at several nsqds: at each in turn, and at another where one does not take the message. */
export class Publishers {
  readonly #connection: ConnectionOptions;
  readonly #outages: OutageLog;
  readonly #keepers = new Map<string, ConnectionKeeper<WriterNSQDConnection>>();
  /** What no nsqd took because one refused it, and when, by topic. */
  readonly #refused = new Map<string, { readonly message: string; readonly at: number }>();
  #turn = 0;

  constructor(connection: ConnectionOptions, outages: OutageLog) {
    this.#connection = connection;
    this.#outages = outages;
  }

  /** The lines of what was refused lately, and not taken since. */
  get refusals(): string[] {
    const since = performance.now() - REFUSED_MS;
    return [...this.#refused.values()].filter(({ at }) => at > since).map(({ message }) => message);
  }

  /**
   * Resolves when one of the nsqds has the message. Rejects with `unavailable` and every reason when that is not
   * known after `withinMs`: those that do not answer share the time, those that are known to be away cost none.
   * Rejects with `too_large` where one takes no message of this size.
   */
  async publish(
    addresses: readonly NsqAddress[],
    topic: string,
    message: string,
    withinMs: number,
  ): Promise<void> {
    const { leastShareMs } = this.#connection.times;
    const until = performance.now() + withinMs;
    const keepers = this.#inTurn(addresses);
    const reasons = new Set<string>();
    for (const [index, { address, keeper }] of keepers.entries()) {
      const left = until - performance.now();
      if (left <= 0) break;
      const share = Math.min(left, Math.max(leastShareMs, left / (keepers.length - index)));
      try {
        await publishAt(address, keeper, topic, message, share);
        this.#refused.delete(topic);
        return;
      } catch (error) {
        if (isPlatformError(error, 'too_large')) throw error;
        reasons.add(error instanceof Error ? error.message : String(error));
      }
    }
    const refusal = [...reasons].join(' ');
    if (isRefusal(refusal)) this.#refused.set(topic, { message: refusal, at: performance.now() });
    throw new PlatformError('unavailable', refusal);
  }

  /** Closes the connections; what was sent has arrived then, as far as nsqd still answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#keepers.values()].map(async (keeper) => await keeper[Symbol.asyncDispose]()));
  }

  /** The keepers that are up, beginning with the next one in turn, and then the others. */
  #inTurn(addresses: readonly NsqAddress[]) {
    const first = this.#turn++ % Math.max(addresses.length, 1);
    this.#leaveAllBut(addresses);
    const turned = [...addresses.slice(first), ...addresses.slice(0, first)];
    const keepers = turned.map((address) => ({ address, keeper: this.#keeperOf(address) }));
    const up = (entry: (typeof keepers)[number]) => Number(entry.keeper.connection !== undefined);
    return keepers.sort((a, b) => up(b) - up(a));
  }

  /** Those that went, and are not known to anybody any more. */
  #leaveAllBut(addresses: readonly NsqAddress[]): void {
    const wanted = new Set(addresses.map(formatAddress));
    for (const [key, keeper] of this.#keepers) {
      if (wanted.has(key) || keeper.connection !== undefined) continue;
      this.#keepers.delete(key);
      keeper[Symbol.asyncDispose]().catch(() => undefined);
    }
  }

  #keeperOf(address: NsqAddress): ConnectionKeeper<WriterNSQDConnection> {
    const key = formatAddress(address);
    const known = this.#keepers.get(key);
    if (known !== undefined) return known;
    const keeper = new ConnectionKeeper({
      address,
      purpose: 'publish',
      connect: async (signal) => await openWriter(address, this.#connection, signal),
      outages: this.#outages,
    });
    this.#keepers.set(key, keeper);
    return keeper;
  }
}

async function publishAt(
  address: NsqAddress,
  keeper: ConnectionKeeper<WriterNSQDConnection>,
  topic: string,
  message: string,
  withinMs: number,
): Promise<void> {
  const answered = Promise.withResolvers<void>();
  let asked: WriterNSQDConnection | undefined;
  let over = false;
  const late = setTimeout(() => {
    over = true;
    const silence = new Error(SILENT);
    // What does not answer in time is not asked again before it has answered to a new connection.
    if (asked !== undefined) keeper.drop(asked, silence);
    answered.reject(explain(address, silence));
  }, withinMs);
  const send = (connection: WriterNSQDConnection) => {
    if (over) return;
    asked = connection;
    connection.produceMessages(topic, [Buffer.from(message)], undefined, (error) =>
      error ? answered.reject(explain(address, error)) : answered.resolve(),
    );
  };
  try {
    keeper.attempt.then(send).catch(answered.reject);
    await answered.promise;
  } finally {
    clearTimeout(late);
  }
}
