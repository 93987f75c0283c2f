import { PlatformError } from '@morpheo/common';
import type { Metrics } from '../../metrics/index.ts';

/** How many live streams may be open at once; 0 is any number. */
export interface StreamLimits {
  /** Of one caller: by its name, or else its address. */
  readonly perCaller: number;
  readonly inAll: number;
}

/** What holds where nothing else is said. */
export const STREAM_DEFAULTS: StreamLimits = { perCaller: 100, inAll: 2000 };

/** When a client is to try again: streams end when orders do, and nobody knows when that is. In seconds. */
const RETRY_S = 10;

/** Opens a stream for a caller, until the result is disposed; throws `rate_limited` where there are too many. */
export type OpenStream = (caller: string) => Disposable;

/** Counts the live streams of a service, and refuses those beyond the limits. */
export function createStreamGuard(limits: StreamLimits, metrics: Metrics | undefined): OpenStream {
  const open = new Map<string, number>();
  let all = 0;
  const shown = metrics?.gauge({
    name: 'http_live_streams',
    help: 'Streams of events and logs that are open',
  });
  const refused = metrics?.counter({
    name: 'http_live_streams_refused_total',
    help: 'Streams that were refused because there were too many: of their caller, or in all',
    labels: ['limit'],
  });
  shown?.set({}, 0);
  const count = (caller: string, by: number) => {
    const now = (open.get(caller) ?? 0) + by;
    if (now === 0) open.delete(caller);
    else open.set(caller, now);
    all += by;
    shown?.set({}, all);
  };
  const refuse = (limit: 'caller' | 'all', message: string) => {
    refused?.add({ limit });
    return new PlatformError('rate_limited', message, { details: { retry_after: RETRY_S } });
  };
  return (caller) => {
    const own = open.get(caller) ?? 0;
    if (limits.perCaller > 0 && own >= limits.perCaller) {
      throw refuse('caller', `You have ${own} live streams open, and may have no more: close one first.`);
    }
    if (limits.inAll > 0 && all >= limits.inAll) {
      throw refuse('all', `The service has ${all} live streams open, and takes no more: try again later.`);
    }
    count(caller, 1);
    let over: boolean = false;
    return {
      [Symbol.dispose]: () => {
        if (!over) count(caller, -1);
        over = true;
      },
    };
  };
}
