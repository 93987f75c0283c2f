import { isPlatformError, PlatformError } from '@morpheo/common';
import { checkReceiver, type TraceSettings } from '../trace/index.ts';
import type { Probe, Probes } from './run-check.ts';

/** Another service that is asked a question which changes nothing. */
export interface PeerProbe {
  readonly url: string;
  /** Throws where another service than the one that is meant answers there; resolves to its version. */
  readonly identify: (signal: AbortSignal) => Promise<string>;
  /** Asks it as the service itself would. */
  readonly call: (signal: AbortSignal) => Promise<unknown>;
  /** The flag of its address, and those of our name and password. */
  readonly flag: string;
  readonly credentials: string;
}

/** An id that nothing has: whoever answers that there is no such thing has let us in. */
export const NOTHING = '00000000-0000-4000-8000-000000000000';

/** Whether the service that is meant answers, and knows us. That it does not know of {@link NOTHING} is an answer. */
export function peerProbe({ url, identify, call, flag, credentials }: PeerProbe): Probe {
  return {
    ask: async (signal) => {
      const version = await identify(signal);
      try {
        await call(signal);
      } catch (error) {
        if (isPlatformError(error, 'unauthenticated', 'forbidden')) {
          const what = error.code === 'forbidden' ? 'us what we need, for our role' : 'our name or password';
          const message = `It refuses ${what} (${credentials}).`;
          throw new PlatformError(error.code, message, { cause: error });
        }
        if (!isPlatformError(error, 'not_found')) throw error;
      }
      return `${url}, version ${version}`;
    },
    remedy: `Start it, or correct ${flag} and the credentials.`,
  };
}

/** Whether the receiver of traces takes them, where one is named. */
export function traceProbes(config: TraceSettings): Probes {
  if (config.otlpEndpoint === undefined) return {};
  const ask = async (signal: AbortSignal) => await checkReceiver(config, signal);
  return { traces: { ask, remedy: 'Correct --otlp-endpoint or --otlp-headers; all else works without it.' } };
}
