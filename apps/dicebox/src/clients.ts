import { type ClientOptions, computeClient, storageClient } from '@morpheo/client';
import type { Api, ComputeContract, StorageContract } from '@morpheo/common';
import { type Peer, peerOf } from '@morpheo/service/config';
import { traceHeaders } from '@morpheo/service/trace';
import type { DiceboxConfig } from './config.ts';

/** The services that dicebox works with; each folder asks for the calls that it makes. */
export interface Peers {
  readonly compute: Api<ComputeContract>;
  readonly storage: Api<StorageContract>;
}

/** Where compute-api is, and who we are to it. */
export function computeOf({ compute, computeUser, computePassword }: DiceboxConfig): Peer {
  return peerOf(compute, computeUser, computePassword);
}

/** Where storage-api is, and who we are to it. */
export function storageOf({ storage, storageUser, storagePassword }: DiceboxConfig): Peer {
  return peerOf(storage, storageUser, storagePassword);
}

/** Calls of both, which tell of the trace that they belong to. */
export function peersOf(compute: ClientOptions, storage: ClientOptions): Peers {
  return {
    compute: computeClient({ ...compute, about: traceHeaders }),
    storage: storageClient({ ...storage, about: traceHeaders }),
  };
}
