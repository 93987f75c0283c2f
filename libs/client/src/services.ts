import {
  type Api,
  type ComputeContract,
  computeContract,
  isPlatformError,
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

/**
 * True for the orchestrator's refusal of a callback that it has heard already: whoever retries a callback treats it
 * as success. Source: wire format of the orchestrator, callbacks ("no update of …", "Might be already pending").
 */
export function isAlreadyApplied(error: unknown): boolean {
  return (
    isPlatformError(error) &&
    error.status === 400 &&
    /no update of|Might be already pending/.test(error.message)
  );
}
