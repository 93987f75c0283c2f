import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { errnoOf, type Readiness } from '@morpheo/common';
import type { Log } from '../../log/index.ts';

/** Whether this process can open files and connections: where it cannot, Node closes new connections without a word. */
export interface Descriptors {
  /** Tries it, and logs where that has changed, at most once a minute. Never rejects. */
  look(): Promise<void>;
  /** Tries it, for `/ready`: undefined where all is well, and has been for a minute. Never rejects. */
  readiness(): Promise<Readiness['dependencies'][number] | undefined>;
}

/** How often a change is logged at most, and how long `/ready` tells of one, in milliseconds. */
const REMEMBERED_MS = 60_000;

const NAME = 'open files';
const NONE_LEFT =
  'This process may open no more files and connections, and closes new ones unanswered: raise its limit (ulimit -n, LimitNOFILE= of systemd)';

/** Watches the file descriptors of this process; whoever has a server calls `look` now and then. */
export function watchDescriptors(log: Log, clock: () => number = () => performance.now()): Descriptors {
  let lastOutAt: number | undefined;
  let toldAt: number | undefined;
  let state: 'well' | 'out' = 'well';
  const since = (at: number | undefined): number => (at === undefined ? REMEMBERED_MS : clock() - at);
  const look = (): boolean => {
    const error = whyNone();
    if (error !== undefined) {
      lastOutAt = clock();
      if (state === 'well' && since(toldAt) >= REMEMBERED_MS) {
        log.error({ error }, NONE_LEFT);
        [state, toldAt] = ['out', clock()];
      }
    } else if (state === 'out') {
      log.info({}, 'Files and connections can be opened again');
      state = 'well';
    }
    return error === undefined;
  };
  return {
    look: async () => void look(),
    async readiness() {
      if (!look()) return { name: NAME, ok: false, problem: `${NONE_LEFT}.` };
      const agoMs = since(lastOutAt);
      if (agoMs >= REMEMBERED_MS) return undefined;
      return { name: NAME, ok: true, warning: `${Math.round(agoMs / 1000)} s ago: ${NONE_LEFT}.` };
    },
  };
}

/** The error where the process, or the machine, has no descriptor left. */
function whyNone(): unknown {
  try {
    // At once: no disk is asked for this one.
    closeSync(openSync(devNull, 'r'));
    return undefined;
  } catch (error) {
    return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '') ? error : undefined;
  }
}
