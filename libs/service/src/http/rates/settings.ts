import { z } from 'zod';
import { defineSettings, type SettingsOf } from '../../config/index.ts';
import type { RateLimits } from './guard.ts';
import { STREAM_DEFAULTS, type StreamLimits } from './streams.ts';

const count = z.coerce.number().int().min(0).max(1_000_000_000);

/**
 * The settings that bound what one client may ask; `prefix` begins their variables, such as `MORPHEO_COMPUTE_`. By
 * default twice what a service of two cores answered at its best: no honest caller notices, and one that posts without
 * end does not take all of a larger machine.
 */
export function rateSettings<const Prefix extends string>(prefix: Prefix) {
  return defineSettings({
    rateLimit: {
      flag: 'rate-limit',
      env: `${prefix}RATE_LIMIT`,
      schema: count,
      default: 5000,
      help: 'Requests a second of one client, by its name or else its address, before it gets 429; 0 for any number. The roles admin, orchestrator and worker are not counted, nor is /health.',
    },
    rateBurst: {
      flag: 'rate-burst',
      env: `${prefix}RATE_BURST`,
      schema: count,
      default: 20_000,
      help: 'How many requests a client may make beyond --rate-limit within ten seconds.',
    },
    guessLimit: {
      flag: 'guess-limit',
      env: `${prefix}GUESS_LIMIT`,
      schema: count,
      default: 60,
      help: 'Different wrong credentials a minute from one address before it gets 429; 0 for any number.',
    },
  });
}

/** The values of {@link rateSettings}. */
export type RateConfig = SettingsOf<ReturnType<typeof rateSettings>>;

/** The limits that the settings say. */
export function rateLimitsOf({ rateLimit, rateBurst, guessLimit }: RateConfig): RateLimits {
  return { perSecond: rateLimit, burst: rateBurst, guessesPerMinute: guessLimit };
}

/** The settings that bound live streams; `prefix` begins their variables. */
export function streamSettings<const Prefix extends string>(prefix: Prefix) {
  return defineSettings({
    streamsPerCaller: {
      flag: 'streams-per-caller',
      env: `${prefix}STREAMS_PER_CALLER`,
      schema: count,
      default: STREAM_DEFAULTS.perCaller,
      help: 'How many live streams of orders and logs one caller may have open, by its name or else its address, before it gets 429; 0 for any number.',
    },
    streams: {
      flag: 'streams',
      env: `${prefix}STREAMS`,
      schema: count,
      default: STREAM_DEFAULTS.inAll,
      help: 'How many live streams of orders and logs may be open in all, before further ones get 429; 0 for any number.',
    },
  });
}

/** The limits that the values of {@link streamSettings} say. */
export function streamLimitsOf({
  streamsPerCaller,
  streams,
}: SettingsOf<ReturnType<typeof streamSettings>>): StreamLimits {
  return { perCaller: streamsPerCaller, inAll: streams };
}
