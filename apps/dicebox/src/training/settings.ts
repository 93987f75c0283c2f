import { MOST_GPUS, MOST_IN_TRAINING, NETWORK_PRESETS, USUAL_TRAINING } from '@morpheo/common';
import { defineSettings, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';

const PREFIX = 'MORPHEO_DICEBOX_';
const whole = (most: number, least = 1) => z.coerce.number().int().min(least).max(most);

const USUAL = {
  trainNetwork: USUAL_TRAINING.network,
  trainEpochs: USUAL_TRAINING.epochs,
  trainBatchSize: USUAL_TRAINING.batchSize,
  trainHeldOut: 0.1,
  trainGpus: 0,
} as const;

/** How trainings are where those who ask for them do not say. */
export const trainingSettings = defineSettings({
  trainNetwork: {
    flag: 'train-network',
    env: `${PREFIX}TRAIN_NETWORK`,
    schema: z.enum(NETWORK_PRESETS),
    default: USUAL.trainNetwork,
    help: 'The network of a training that names none: small-cnn (convolutions) or mlp (dense layers).',
  },
  trainEpochs: {
    flag: 'train-epochs',
    env: `${PREFIX}TRAIN_EPOCHS`,
    schema: whole(MOST_IN_TRAINING.epochs),
    default: USUAL.trainEpochs,
    help: 'How many epochs a training has that names none.',
  },
  trainBatchSize: {
    flag: 'train-batch-size',
    env: `${PREFIX}TRAIN_BATCH_SIZE`,
    schema: whole(MOST_IN_TRAINING.batchSize),
    default: USUAL.trainBatchSize,
    help: 'How many pictures are learnt from at a time, where a training does not say.',
  },
  trainHeldOut: {
    flag: 'train-held-out',
    env: `${PREFIX}TRAIN_HELD_OUT`,
    schema: z.coerce.number().min(0).max(0.5),
    default: USUAL.trainHeldOut,
    help: 'The share of the pictures that a training measures on, and does not learn from.',
  },
  trainGpus: {
    flag: 'train-gpus',
    env: `${PREFIX}TRAIN_GPUS`,
    schema: whole(MOST_GPUS, 0),
    default: USUAL.trainGpus,
    help: 'How many GPUs a training gets that does not say.',
  },
});

/** How trainings are where nothing is said; see {@link trainingSettings}. */
export type TrainingDefaults = SettingsOf<typeof trainingSettings>;

/** How they are where no setting says anything. */
export const TRAINING_DEFAULTS: TrainingDefaults = USUAL;
