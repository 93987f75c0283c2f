import {
  type Api,
  DICEBOX_CLASSIFICATION_V1,
  DICEBOX_SEARCH_V1,
  DICEBOX_SENSORY_V1,
  DICEBOX_TRAINING_V1,
  diceboxContract,
} from '@morpheo/common';
import { type ClientOptions, createClient } from './client.ts';

// A place of its own (`@morpheo/client/dicebox`): a page that shows no pictures need not load these contracts.

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
