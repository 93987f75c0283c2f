import { PlatformError } from '@morpheo/common';
import { startLoop } from '../../lifecycle/index.ts';
import { silentLog } from '../../log/index.ts';
import { formatAddress, type NsqAddress } from './address.ts';
import { createTopic, lookUpNodes, lookUpTopic } from './lookupd.ts';
import type { OutageLog } from './outage-log.ts';

/** Whom to ask, and who is known anyway. */
export interface Places {
  readonly nsqds: readonly NsqAddress[];
  /** HTTP addresses of nsqlookupds. */
  readonly lookupds: readonly string[];
  /** HTTP addresses of nsqds, where topics are made. */
  readonly nsqdHttps: readonly string[];
}

/** What {@link startDiscovery} is given. */
export interface DiscoveryOptions {
  readonly places: Places;
  readonly topic: string;
  /** What to make besides the topic. */
  readonly channel: string | undefined;
  /** Called with the nsqds that have the topic, whenever it was asked; resolves when they were tried. */
  readonly onFound: (addresses: readonly NsqAddress[]) => Promise<void>;
  readonly outages: OutageLog;
}

/** How often nsqlookupd is asked, in milliseconds. */
const EVERY_MS = 2000;

/** Asks again and again which nsqds have a topic, until disposed. */
export interface Discovery extends AsyncDisposable {
  /** Resolves when it was asked once, and what was found was tried. */
  readonly first: Promise<void>;
}

/**
 * Starts asking. First, and as long as nobody has the topic, it and its channel are made known to the nsqlookupds,
 * which tell an nsqd when it gets the topic, so that no message comes before the channel; and made at nsqds.
 */
export function startDiscovery(options: DiscoveryOptions): Discovery {
  const { places, topic, channel, onFound, outages } = options;
  const first = Promise.withResolvers<void>();
  const purpose = `find ${topic}/${channel ?? ''}`;
  const look = async () => {
    const found = await lookUp(places, outages, purpose, async (at) => await lookUpTopic(at, topic));
    // Where nobody answered, whom we know may well be there.
    if (found !== undefined) await onFound([...places.nsqds, ...found]);
    return found;
  };
  let known = false;
  const work = async () => {
    try {
      if (!known) await create(options, purpose);
      known = (await look())?.length !== 0;
    } finally {
      first.resolve();
    }
  };
  const loop = startLoop({
    name: purpose,
    everyMs: EVERY_MS,
    maxPauseMs: 2 * EVERY_MS,
    work,
    log: silentLog,
  });
  return {
    first: first.promise,
    async [Symbol.asyncDispose]() {
      await loop[Symbol.asyncDispose]();
      first.resolve();
      for (const server of [...places.lookupds, ...places.nsqdHttps]) outages.leave(`${server} ${purpose}`);
    },
  };
}

/** Finds the nsqds where messages are published: those that are given, else all that the nsqlookupds know. */
export class PublishingPlaces {
  readonly #places: Places;
  readonly #outages: OutageLog;
  #known: readonly NsqAddress[];
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(places: Places, outages: OutageLog) {
    this.#places = places;
    this.#outages = outages;
    this.#known = places.nsqds;
  }

  /** The nsqds, as of the last two seconds, or as they last were known. Rejects with `unavailable` for none. */
  async find(): Promise<readonly NsqAddress[]> {
    const { nsqds, lookupds } = this.#places;
    const fresh = performance.now() - this.#askedAt < EVERY_MS && this.#known.length > 0;
    if (nsqds.length === 0 && !fresh) {
      this.#known = (await lookUp(this.#places, this.#outages, 'publish', lookUpNodes)) ?? this.#known;
      this.#askedAt = performance.now();
    }
    if (this.#known.length > 0) return this.#known;
    const asked = lookupds.join(' and ') || 'nobody';
    throw new PlatformError(
      'unavailable',
      `No nsqd is known (asked: ${asked}): start one that tells of itself.`,
    );
  }
}

/** What all nsqlookupds together know; undefined where none answers. */
async function lookUp(
  { lookupds }: Places,
  outages: OutageLog,
  purpose: string,
  ask: (lookupd: string) => Promise<NsqAddress[]>,
): Promise<NsqAddress[] | undefined> {
  const answers = await Promise.all(
    lookupds.map(async (at) => await tried(outages, `${at} ${purpose}`, async () => await ask(at))),
  );
  const given = answers.filter((answer) => answer !== undefined).flat();
  if (answers.every((answer) => answer === undefined)) return undefined;
  return [...new Map(given.map((address) => [formatAddress(address), address])).values()];
}

async function create({ places, topic, channel, outages }: DiscoveryOptions, purpose: string) {
  const servers = [...places.lookupds, ...places.nsqdHttps];
  await Promise.all(
    servers.map(async (at) =>
      tried(outages, `${at} ${purpose}`, async () => await createTopic(at, topic, channel)),
    ),
  );
}

async function tried<T>(outages: OutageLog, who: string, act: () => Promise<T>): Promise<T | undefined> {
  try {
    const result = await act();
    outages.over(who);
    return result;
  } catch (error) {
    outages.note(who, error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
