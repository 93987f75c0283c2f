import { isPlatformError, PlatformError } from '@morpheo/common';
import { checkReceiver, type TraceSettings } from '../trace/index.ts';
import type { Probe, Probes } from './probe.ts';

/** Another service that is asked a question which changes nothing. */
export interface PeerProbe {
  readonly url: string;
  /** Asks it as the service itself would. */
  readonly call: (signal: AbortSignal) => Promise<unknown>;
  /** The flag of its address, and those of our name and password. */
  readonly flag: string;
  readonly credentials: string;
}

/** An id that nothing has: whoever answers that there is no such thing has let us in. */
export const NOTHING = '00000000-0000-4000-8000-000000000000';

/** Whether another service answers, and knows us. That it does not know of {@link NOTHING} is an answer. */
export function peerProbe({ url, call, flag, credentials }: PeerProbe): Probe {
  return {
    ask: async (signal) => {
      try {
        await call(signal);
      } catch (error) {
        if (isPlatformError(error, 'unauthenticated', 'forbidden')) {
          const message = `It refuses our name or password (${credentials}).`;
          throw new PlatformError(error.code, message, { cause: error });
        }
        if (!isPlatformError(error, 'not_found')) throw error;
      }
      return url;
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
