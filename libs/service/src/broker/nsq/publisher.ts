import { PlatformError } from '@morpheo/common';
import type { WriterNSQDConnection } from 'nsqjs';
import { formatAddress, type NsqAddress } from './address.ts';
import { type NsqSecurity, openWriter } from './connection.ts';
import { Link } from './link.ts';
import { explain, SILENT } from './reason.ts';
import type { Troubles } from './troubles.ts';

/** An nsqd that is only slow is not given up sooner: the message would be published twice. */
const LEAST_SHARE_MS = 1000;

/** Publishes at several nsqds: at each in turn, and at another where one does not take the message. */
export class Publishers {
  readonly #security: NsqSecurity;
  readonly #troubles: Troubles;
  readonly #links = new Map<string, Link<WriterNSQDConnection>>();
  #turn = 0;

  constructor(security: NsqSecurity, troubles: Troubles) {
    this.#security = security;
    this.#troubles = troubles;
  }

  /**
   * Resolves when one of the nsqds has the message. Rejects with `unavailable` and every reason when that is not
   * known after `withinMs`: those that do not answer share the time, those that are known to be away cost none.
   */
  async publish(
    addresses: readonly NsqAddress[],
    topic: string,
    message: string,
    withinMs: number,
  ): Promise<void> {
    const until = performance.now() + withinMs;
    const links = this.#inTurn(addresses);
    const reasons = new Set<string>();
    for (const [index, { address, link }] of links.entries()) {
      const left = until - performance.now();
      if (left <= 0) break;
      const share = Math.min(left, Math.max(LEAST_SHARE_MS, left / (links.length - index)));
      try {
        await publishAt(address, link, topic, message, share);
        return;
      } catch (error) {
        reasons.add(error instanceof Error ? error.message : String(error));
      }
    }
    throw new PlatformError('unavailable', [...reasons].join(' '));
  }

  /** Closes the connections; what was sent has arrived then, as far as nsqd still answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#links.values()].map(async (link) => await link[Symbol.asyncDispose]()));
  }

  /** The links that are up, beginning with the next one in turn, and then the others. */
  #inTurn(addresses: readonly NsqAddress[]) {
    const first = this.#turn++ % Math.max(addresses.length, 1);
    this.#leaveAllBut(addresses);
    const turned = [...addresses.slice(first), ...addresses.slice(0, first)];
    const links = turned.map((address) => ({ address, link: this.#linkTo(address) }));
    const up = (entry: (typeof links)[number]) => Number(entry.link.connection !== undefined);
    return links.sort((a, b) => up(b) - up(a));
  }

  /** Those that went, and are not known to anybody any more. */
  #leaveAllBut(addresses: readonly NsqAddress[]): void {
    const wanted = new Set(addresses.map(formatAddress));
    for (const [key, link] of this.#links) {
      if (wanted.has(key) || link.connection !== undefined) continue;
      this.#links.delete(key);
      link[Symbol.asyncDispose]().catch(() => undefined);
    }
  }

  #linkTo(address: NsqAddress): Link<WriterNSQDConnection> {
    const key = formatAddress(address);
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const link = new Link({
      address,
      purpose: 'publish',
      connect: async (signal) => await openWriter(address, this.#security, signal),
      troubles: this.#troubles,
    });
    this.#links.set(key, link);
    return link;
  }
}

async function publishAt(
  address: NsqAddress,
  link: Link<WriterNSQDConnection>,
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
    if (asked !== undefined) link.drop(asked, silence);
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
    link.attempt.then(send).catch(answered.reject);
    await answered.promise;
  } finally {
    clearTimeout(late);
  }
}
