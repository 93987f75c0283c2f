import {
  type Api,
  type ComputeContract,
  type Contract,
  computeContract,
  DICEBOX_SENSORY_V1,
  diceboxContract,
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

/** What dicebox's sensory service serves of our own. */
export type PicturesContract = Contract<typeof DICEBOX_SENSORY_V1>;

/** The pictures of dicebox over HTTP; see {@link createClient}. */
export function picturesClient(options: ClientOptions): Api<PicturesContract> {
  return createClient(diceboxContract(DICEBOX_SENSORY_V1), options);
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
