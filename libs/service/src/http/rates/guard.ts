import { hash, randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Metrics } from '../../metrics/index.ts';

/** What one client may ask of a service; 0 is no limit. */
export interface RateLimits {
  /** Requests a second. */
  readonly perSecond: number;
  /** And so many more in ten seconds. */
  readonly burst: number;
  /** Wrong secrets a minute, from one address. */
  readonly guessesPerMinute: number;
}

/** Counts what clients do, and refuses with `rate_limited`, its `details.retry_after` in seconds. */
export interface RateGuard {
  /** Counts a request of a caller that is known by name. */
  ofCaller(name: string): Promise<void>;
  /** Counts a request of anybody else, by where it comes from (see `clientOf`). */
  ofAddress(client: string): Promise<void>;
  /** Is asked before an unknown secret is looked at; what it returns is called where the secret is right. */
  guess(client: string): Promise<() => Promise<void>>;
  /** Whether an address is taken for one client; behind a proxy, where guesses are not limited, it is that of all. */
  readonly tellsAddressesApart: boolean;
}

/**
 * How many addresses are told apart: each falls to one of these by a hash that nobody can foresee. However many come,
 * the memory is bounded; where there are more, some share what they may ask.
 */
const ADDRESSES = 65_536;
const BURST_SECONDS = 10;
const GUESS_SECONDS = 60;

const OPEN: RateGuard = {
  ofCaller: async () => undefined,
  ofAddress: async () => undefined,
  guess: async () => async () => undefined,
  tellsAddressesApart: false,
};

/** Makes a guard, which counts refusals in the metrics; one that refuses nothing where there are no limits. */
export function createRateGuard(limits: RateLimits | undefined, metrics: Metrics | undefined): RateGuard {
  if (limits === undefined) return OPEN;
  const { perSecond, burst, guessesPerMinute } = limits;
  const refused = metrics?.counter({
    name: 'http_rate_limited_total',
    help: 'Requests that were refused because their client asks too much: requests, or wrong secrets',
    labels: ['limit'],
  });
  const bucketOf = bucketsOf(randomUUID());
  const requests = new BurstyRateLimiter(
    new RateLimiterMemory({ points: perSecond, duration: 1 }),
    new RateLimiterMemory({ points: burst, duration: BURST_SECONDS }),
  );
  const guesses = new RateLimiterMemory({ points: guessesPerMinute, duration: GUESS_SECONDS });
  const take = async (limiter: Limiter, key: string, limit: 'requests' | 'secrets') => {
    try {
      await limiter.consume(key);
    } catch (reason) {
      if (!(reason instanceof RateLimiterRes)) throw reason;
      refused?.add({ limit }, 1);
      throw tooMany(limit, Math.max(1, Math.ceil(reason.msBeforeNext / 1000)));
    }
  };
  const count = async (key: string) => (perSecond === 0 ? undefined : await take(requests, key, 'requests'));
  return {
    ofCaller: async (name) => await count(`caller ${name}`),
    ofAddress: async (client) => await count(`address ${bucketOf(client)}`),
    guess: async (client) => {
      if (guessesPerMinute === 0) return async () => undefined;
      const key = String(bucketOf(client));
      await take(guesses, key, 'secrets');
      return async () => void (await guesses.reward(key));
    },
    tellsAddressesApart: guessesPerMinute > 0,
  };
}

interface Limiter {
  consume(key: string): Promise<unknown>;
}

function bucketsOf(key: string): (client: string) => number {
  return (client) => hash('sha256', `${key}${client}`, 'buffer').readUInt32BE(0) % ADDRESSES;
}

function tooMany(limit: 'requests' | 'secrets', seconds: number): PlatformError {
  const what =
    limit === 'requests' ? 'You ask more than one client may' : 'Too many wrong credentials came from here';
  return new PlatformError('rate_limited', `${what}: wait ${seconds} s, then try again.`, {
    details: { retry_after: seconds },
  });
}
