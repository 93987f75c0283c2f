import { type Loop, startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import type { Storage } from '../storage.ts';

/** How often it is asked whether a scrub is due; in milliseconds. */
const ASK_MS = 600_000;

/** Scrubs `everyMs` after the last scrub has ended, whichever process did it; one that was cut is gone on with. */
export function scrubLoop(storage: Pick<Storage, 'scrub'>, everyMs: number, log: Log): Loop {
  return startLoop({
    name: 'scrub',
    everyMs: Math.min(ASK_MS, everyMs),
    log,
    work: async (signal) => {
      const { outcome, ...counts } = await storage.scrub({ everyMs, signal });
      if (outcome === 'ended') log.info({ ...counts }, 'All blobs were read and compared with their digests');
    },
  });
}
