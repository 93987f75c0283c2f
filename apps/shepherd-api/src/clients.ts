import { type ClientOptions, computeClient, storageClient } from '@morpheo/client';
import type { Api, ComputeContract, StorageContract } from '@morpheo/common';
import { type Peer, peerOf } from '@morpheo/service/config';
import { traceHeaders } from '@morpheo/service/trace';
import type { ShepherdConfig } from './config.ts';

/** What of compute-api is called. */
export type ComputeCalls = Pick<Api<ComputeContract>, 'postJob' | 'getOrder' | 'listOrders' | 'listWorkers'>;

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
