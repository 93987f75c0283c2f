import { PlatformError } from '@morpheo/common';
import type { Log } from '../../log/index.ts';
import type { Broker, Subscribe, Subscription } from '../broker.ts';
import { checkMessage, checkName, checkNames } from '../names.ts';
import type { ConnectionOptions } from './connection.ts';
import { type Discovery, type Places, PublishingPlaces, startDiscovery } from './discovery.ts';
import { isRefusal } from './errors.ts';
import { OutageLog } from './outage-log.ts';
import { probe } from './probe.ts';
import { Publishers } from './publisher.ts';
import { NsqSubscription } from './subscription.ts';

/** The driver behind `openNsqBroker`. */
export class NsqBroker implements Broker {
  readonly #places: Places;
  readonly #connection: ConnectionOptions;
  readonly #log: Log;
  readonly #outages: OutageLog;
  readonly #publishing: PublishingPlaces;
  readonly #publishers: Publishers;
  readonly #underWay = new Set<Promise<void>>();
  readonly #subscriptions = new Set<Subscription>();
  #ending: Promise<void> | undefined;
  #closed = false;

  constructor(places: Places, connection: ConnectionOptions, log: Log) {
    this.#places = places;
    this.#connection = connection;
    this.#log = log;
    this.#outages = new OutageLog(log);
    this.#publishing = new PublishingPlaces(places, this.#outages);
    this.#publishers = new Publishers(connection, this.#outages);
  }

  async publish(topic: string, message: string): Promise<void> {
    checkName('topic', topic);
    checkMessage(message);
    assertOpen(this.#closed);
    const publishing = this.#publish(topic, message).finally(() => this.#underWay.delete(publishing));
    this.#underWay.add(publishing);
    await publishing;
  }

  async subscribe(options: Subscribe): Promise<Subscription> {
    checkNames(options);
    assertOpen(this.#ending !== undefined);
    const { topic, channel } = options;
    const log = this.#log.child({ topic, channel });
    const parts = { connection: this.#connection, outages: this.#outages, log };
    const subscription = new NsqSubscription(options, parts);
    const tried = subscription.follow(this.#places.nsqds);
    const discovery = this.#discover(options, subscription);
    const heard = whole(subscription, discovery, () => this.#subscriptions.delete(heard));
    this.#subscriptions.add(heard);
    await settledWithin(this.#connection.times.subscribeMs, [tried, discovery?.first]);
    return heard;
  }

  async ping(signal?: AbortSignal): Promise<void> {
    assertOpen(this.#closed);
    signal?.throwIfAborted();
    await probe(await this.#publishing.find(), this.#connection, signal);
    // An nsqd that lets us in may yet refuse a topic or a channel, and says so only when it is asked for that.
    const refusals = new Set([...this.#outages.present.filter(isRefusal), ...this.#publishers.refusals]);
    if (refusals.size > 0) throw new PlatformError('unavailable', [...refusals].join(' '));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()));
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await this.#publishers[Symbol.asyncDispose]();
  }

  async #publish(topic: string, message: string): Promise<void> {
    const until = performance.now() + this.#connection.times.publishMs;
    const addresses = await this.#publishing.find();
    await this.#publishers.publish(addresses, topic, message, until - performance.now());
  }

  #discover(options: Subscribe, subscription: NsqSubscription): Discovery | undefined {
    if (this.#places.lookupds.length === 0) return undefined;
    return startDiscovery({
      places: this.#places,
      topic: options.topic,
      // Where nobody hears it, a transient channel is none: nsqlookupd would keep its name for ever.
      channel: options.transient === true ? undefined : options.channel,
      onFound: async (addresses) => await subscription.follow(addresses),
      outages: this.#outages,
    });
  }
}

/** The subscription and what finds nsqds for it, as one. */
function whole(
  subscription: NsqSubscription,
  discovery: Discovery | undefined,
  onEnd: () => void,
): Subscription {
  return {
    pause: () => subscription.pause(),
    resume: () => subscription.resume(),
    drain: async () => await subscription.drain(),
    async [Symbol.asyncDispose]() {
      // First, so that nothing more is handled while the rest ends.
      const ended = subscription[Symbol.asyncDispose]();
      await discovery?.[Symbol.asyncDispose]();
      await ended;
      onEnd();
    },
  };
}

/** Resolves when all are settled, or when the time is over. */
async function settledWithin(ms: number, work: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ms);
  await Promise.race([Promise.allSettled(work), over.promise]);
  clearTimeout(timer);
}

function assertOpen(closed: boolean): void {
  if (closed) throw new PlatformError('unavailable', 'The connection to NSQ is closed.');
}
