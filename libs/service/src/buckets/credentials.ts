import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { silentLog } from '../log/index.ts';
import type { BucketCredentials, BucketOptions } from './options.ts';

/** Keys as the vendor's client takes them. */
interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they are good no more; absent: nobody knows. */
  readonly expiration?: Date;
}

/** Finds the keys for one request. The vendor's client asks again only where they have a time at which they end. */
type FindKeys = (caller?: Record<string, unknown>) => Promise<Keys>;

/** Keys that are in no hurry are looked for again after so long, in milliseconds. */
const LOOK_AGAIN_MS = 5000;

/** The keys of a bucket as they are at each request. */
export function keysOf(
  { credentials, log = silentLog }: Pick<BucketOptions, 'credentials' | 'log'>,
  clock?: () => number,
): FindKeys {
  if (typeof credentials === 'object') return async () => asOfNow(reveal(credentials));
  return followKeys(
    // Both the provider and its files are remembered by the vendor's packages, unless a new one is told otherwise.
    async (caller) =>
      credentials === undefined
        ? await defaultProvider({ ignoreCache: true })(caller)
        : reveal(await credentials()),
    (error) => log.warn({ error }, 'The keys of the bucket cannot be found again; those before are used'),
    clock,
  );
}

/**
 * Keys that `find` finds, looked for again every five seconds where they do not say when they end, for somebody may
 * have changed their file. Where that fails, those before are used, and `onError` is told at the first failure.
 */
export function followKeys(
  find: FindKeys,
  onError: (error: unknown) => void,
  clock: () => number = () => performance.now(),
): FindKeys {
  let found: { readonly keys: Keys; readonly at: number } | undefined;
  let state: 'well' | 'failing' = 'well';
  return async (caller) => {
    if (found !== undefined && clock() - found.at < LOOK_AGAIN_MS) return asOfNow(found.keys);
    try {
      const keys = await find(caller);
      if (keys.expiration !== undefined) return keys;
      found = { keys, at: clock() };
      state = 'well';
    } catch (error) {
      if (found === undefined) throw error;
      if (state === 'well') onError(error);
      state = 'failing';
      found = { ...found, at: clock() };
    }
    return asOfNow(found.keys);
  };
}

/** Keys that end now are asked for again at the next request. */
function asOfNow(keys: Keys): Keys {
  return { ...keys, expiration: new Date() };
}

function reveal({ accessKeyId, secretAccessKey, sessionToken }: BucketCredentials): Keys {
  return {
    accessKeyId,
    secretAccessKey: secretAccessKey.reveal(),
    ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
  };
}
