import { type ClientOptions, computeClient, storageClient } from '@morpheo/client';
import {
  type Api,
  type ComputeContract,
  isPlatformError,
  PlatformError,
  type StorageContract,
} from '@morpheo/common';
import { type Peer, peerOf } from '@morpheo/service/config';
import { traceHeaders } from '@morpheo/service/trace';
import type { ShepherdConfig } from './config.ts';

/** What of compute-api is called. */
export type ComputeCalls = Pick<
  Api<ComputeContract>,
  'postJob' | 'getOrder' | 'listOrders' | 'listRunners' | 'getQueue'
>;

/** What of storage-api is called. */
export type StorageCalls = Pick<
  Api<StorageContract>,
  'upload' | 'remove' | 'listOutputFiles' | 'getOutputFile'
>;

/** Where compute-api is, and who we are to it. */
export function computeOf({ compute, computeUser, computePassword }: ShepherdConfig): Peer {
  return peerOf(compute, computeUser, computePassword);
}

/** Where storage-api is, and who we are to it. */
export function storageOf({ storage, storageUser, storagePassword }: ShepherdConfig): Peer {
  return peerOf(storage, storageUser, storagePassword);
}

/** Calls of both, which tell of the trace that they belong to. */
export function callsOf(compute: ClientOptions, storage: ClientOptions) {
  return {
    compute: computeClient({ ...compute, about: traceHeaders }) satisfies ComputeCalls,
    storage: storageClient({ ...storage, about: traceHeaders }) satisfies StorageCalls,
  };
}

/** How long another service may take to answer, in milliseconds. */
const ANSWER_MS = 30_000;

/**
 * Calls another service. Throws `unavailable` where it does not answer in time, and where it does not let us in: that is for
 * the operator to mend, and nothing that our own caller did.
 */
export async function callPeer<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(ANSWER_MS);
  try {
    return await call(late);
  } catch (error) {
    if (late.aborted && error === late.reason)
      throw new PlatformError('unavailable', `A service that is needed took longer than ${ANSWER_MS} ms.`);
    if (!isPlatformError(error, 'unauthenticated', 'forbidden')) throw error;
    const message = `A service that is needed does not let this one in: ${error.message}`;
    throw new PlatformError('unavailable', message, { cause: error });
  }
}
