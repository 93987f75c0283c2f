import {
  type Api,
  type ComputeContract,
  computeContract,
  DICEBOX_CLASSIFICATION_V1,
  DICEBOX_SEARCH_V1,
  DICEBOX_SENSORY_V1,
  DICEBOX_TRAINING_V1,
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

const PICTURES = diceboxContract({
  ...DICEBOX_SENSORY_V1,
  ...DICEBOX_TRAINING_V1,
  ...DICEBOX_SEARCH_V1,
});
const CLASSIFICATION = diceboxContract(DICEBOX_CLASSIFICATION_V1);

/** What dicebox serves of our own about pictures, and trainings on them and searches for networks. */
export type PicturesContract = typeof PICTURES;

/** What its classification service serves of our own. */
export type ClassificationContract = typeof CLASSIFICATION;

/** The pictures of dicebox, and trainings on them, over HTTP; see {@link createClient}. */
export function picturesClient(options: ClientOptions): Api<PicturesContract> {
  return createClient(PICTURES, options);
}

/** The classification service of dicebox over HTTP; see {@link createClient}. */
export function classificationClient(options: ClientOptions): Api<ClassificationContract> {
  return createClient(CLASSIFICATION, options);
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
