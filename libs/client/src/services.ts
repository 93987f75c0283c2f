import {
  type Api,
  type ComputeContract,
  computeContract,
  type OrchestratorContract,
  orchestratorContract,
  type StorageContract,
  storageContract,
} from '@morpheo/common';
import { type ClientOptions, createClient } from './client.ts';

/** The storage API over HTTP; see {@link createClient}. */
export function storageClient(options: ClientOptions): Api<StorageContract> {
  return createClient(storageContract, options);
}

/** The compute API over HTTP; see {@link createClient}. */
export function computeClient(options: ClientOptions): Api<ComputeContract> {
  return createClient(computeContract, options);
}

/** The orchestrator's API over HTTP; see {@link createClient}. */
export function orchestratorClient(options: ClientOptions): Api<OrchestratorContract> {
  return createClient(orchestratorContract, options);
}
