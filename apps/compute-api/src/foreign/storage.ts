import { type ClientOptions, identify } from '@morpheo/client';
import {
  DEFAULT_DISCLOSURE,
  isPlatformError,
  type PinAnswer,
  type PinRequest,
  storageContract,
} from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import type { Systems } from '../outbox/effects.ts';

type Storage = Systems['storage'];

/**
 * A storage-api that may be the original's, which has no routes by which orders are checked and things are held: there
 * every order may use everything, as with the originals, and nothing is held. `peer`: where it is; it is asked what it
 * is where such a route is missing.
 */
export function orOriginalStorage(storage: Storage, peer: ClientOptions, log: Log): Storage {
  let warned = false;
  async function orElse<T>(call: Promise<T>, signal: AbortSignal | undefined, instead: () => T): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (!isPlatformError(error, 'not_found') || (await isOurStorage(peer, signal))) throw error;
      if (!warned)
        log.warn({}, 'The storage is none of Morpheo Compute: what orders name is neither checked nor held');
      warned = true;
      return instead();
    }
  }
  return {
    ...storage,
    pinOrders: async (input, call) => {
      const { orders } = input.body;
      const unheld = () => ({ pins: orders.map(answerTo) });
      return await orElse(storage.pinOrders(input, call), call?.signal, unheld);
    },
    discardResults: async (input, call) =>
      await orElse(storage.discardResults(input, call), call?.signal, () => undefined),
  };
}

/** Whether a storage-api of Morpheo Compute answers. Throws `unavailable` where nothing does. */
export async function isOurStorage(peer: ClientOptions, signal?: AbortSignal): Promise<boolean> {
  try {
    await identify(storageContract, peer, signal);
    return true;
  } catch (error) {
    if (!isPlatformError(error, 'conflict')) throw error;
    return false;
  }
}

/** What such a storage would answer: it shows all that it has to everybody. */
function answerTo({ order, produces }: PinRequest): PinAnswer {
  const policy = {
    ...{ problem_owner: '', hidden: false, disclosure: DEFAULT_DISCLOSURE, canaries: [] },
    readers: 'everybody' as const,
  };
  return { outcome: 'pinned', order, pin: NOTHING_HELD, produces, policy };
}

/** In the place of a digest of what is held. */
const NOTHING_HELD = '0'.repeat(64);
