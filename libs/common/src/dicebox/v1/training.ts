import * as z from 'zod';
import { MOST_GPUS } from '../../bounds.ts';
import { ANYONE_KNOWN, bytes, json } from '../../contract/contract.ts';
import { pageOf, pageQuery, timestamp } from '../../contract/service.ts';
import { sha256Hex } from '../../digest.ts';
import { failure } from '../../failure.ts';
import { ORDER_STATUSES } from '../../order.ts';
import { uuid } from '../../uuid.ts';
import type { Endpoints } from '../dialects.ts';

/** The networks that a training may name in place of writing a genome. */
export const NETWORK_PRESETS = ['small-cnn', 'mlp'] as const;

/** How a training is where neither its request nor a setting of the service says. */
export const USUAL_TRAINING = { network: 'small-cnn', epochs: 10, batchSize: 64 } as const;

/** Bounds of a training. */
export const MOST_IN_TRAINING = {
  epochs: 100_000,
  batchSize: 65_536,
  /** Data sets of pictures, those to measure on included. */
  shards: 250,
} as const;

const share = z.number().min(0).max(1);

/** What is to be trained, and how; what is absent is as the service has it. */
export const trainingRequest = z.strictObject({
  /** The id of the training, which the caller names: the same request again is the same training. Drawn where absent. */
  id: uuid.optional(),
  /** The set of pictures that it learns from, as it is now. */
  set: uuid,
  /** A set whose pictures it measures on; where absent, pictures are held out of `set` for that. */
  test_set: uuid.optional(),
  /** An earlier training of the same network that it goes on from; its epochs count. */
  start: uuid.optional(),
  network: z
    .union([
      z.strictObject({ preset: z.enum(NETWORK_PRESETS) }),
      /** A genome, as `population.json` has them. */
      z.looseObject({ layers: z.array(z.unknown()) }),
    ])
    .optional(),
  /** Counted from the very beginning of the network. */
  epochs: z.int().min(1).max(MOST_IN_TRAINING.epochs).optional(),
  batch_size: z.int().min(1).max(MOST_IN_TRAINING.batchSize).optional(),
  /** The share of the pictures that is held out. */
  held_out: z.number().min(0).max(0.5).optional(),
  /** The share of pictures that is turned, scaled and cut anew each time. */
  noise: share.optional(),
  /** The same seed, pictures and engine give the same network; drawn from the id where absent. */
  seed: z.int().min(0).optional(),
  /** Ends when the accuracy has not improved by `min_delta` for so many epochs. */
  early_stopping: z
    .strictObject({ patience: z.int().min(1), min_delta: z.number().min(0).optional() })
    .optional(),
  /** Ends when the accuracy is at least this. */
  target_accuracy: share.optional(),
  gpus: z.int().min(0).max(MOST_GPUS).optional(),
});

/** See {@link trainingRequest}. */
export type TrainingRequest = z.infer<typeof trainingRequest>;

/** An epoch as the trainer has told it; the accuracy is that on pictures that it did not learn from. */
export const trainingEpoch = z.object({
  epoch: z.int(),
  loss: z.number(),
  accuracy: z.number(),
  train_loss: z.number().optional(),
  train_accuracy: z.number().optional(),
  seconds: z.number(),
  engine: z.string(),
  device: z.string(),
  pictures: z.int(),
});

/** See {@link trainingEpoch}. */
export type TrainingEpoch = z.infer<typeof trainingEpoch>;

const summary = z.object({
  id: z.string(),
  status: z.enum(ORDER_STATUSES),
  /** The set that it learns from: its id, and name and size, such as `dicebox_100x100`. */
  set: z.string(),
  set_name: z.string(),
  /** A preset, or `genome`. */
  network: z.string(),
  /** How many epochs it may have. */
  epochs_wanted: z.int(),
  /** How many pictures the set had. */
  pictures: z.int(),
  /** How often a worker has begun it, or gone on with it. */
  attempt: z.int(),
  created_at: timestamp,
  started_at: timestamp.optional(),
  ended_at: timestamp.optional(),
  /** What it has left, on storage. */
  output: z.string().optional(),
  /** Why it has failed; the message is what the trainer said, where it said anything. */
  failure: failure.pick({ reason: true, message: true }).optional(),
});

/** A training as a list shows it. */
export type TrainingSummary = z.infer<typeof summary>;

/** A training, with its epochs so far. */
export const trainingView = summary.extend({
  epochs: z.array(trainingEpoch),
  /** The epoch whose network is kept: the first of the highest accuracy. */
  best: z.object({ epoch: z.int(), accuracy: z.number() }).optional(),
  /** What has trained it, as the last epoch says. */
  engine: z.string().optional(),
  device: z.string().optional(),
  /** Of one that does not run yet: why it waits. */
  why: z.string().optional(),
});

/** See {@link trainingView}. */
export type TrainingView = z.infer<typeof trainingView>;

const one = z.object({ training: uuid });

/** A file that a training has left. */
const trainingFile = z.object({ path: z.string(), size: z.int(), sha256: sha256Hex });

/** The routes of our own for trainings. */
export const DICEBOX_TRAINING_V1 = {
  createTraining: {
    method: 'POST',
    path: '/v1/trainings',
    summary: 'Order a training; 202 means that it is on disk',
    description:
      'The same request again, with the same id, is the same training; another request with that id is 409.',
    access: ['orchestrator'],
    body: json(trainingRequest),
    status: 202,
    response: json(trainingView),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'conflict', 'rate_limited', 'unavailable'],
  },
  listTrainings: {
    method: 'GET',
    path: '/v1/trainings',
    summary: 'Trainings of the caller, newest first',
    access: ANYONE_KNOWN,
    query: z.object({ ...pageQuery, set: uuid.optional(), status: z.enum(ORDER_STATUSES).optional() }),
    status: 200,
    response: json(pageOf(summary)),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
  getTraining: {
    method: 'GET',
    path: '/v1/trainings/:training',
    summary: 'How a training stands, with its epochs so far',
    access: ANYONE_KNOWN,
    params: one,
    status: 200,
    response: json(trainingView),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
  cancelTraining: {
    method: 'POST',
    path: '/v1/trainings/:training/cancel',
    summary: 'End a training',
    access: ['orchestrator'],
    params: one,
    status: 200,
    response: json(trainingView),
    errors: ['invalid_request', 'not_found', 'wrong_state', 'unavailable'],
  },
  listTrainingFiles: {
    method: 'GET',
    path: '/v1/trainings/:training/files',
    summary: 'The files that a training has left: its network, its weights as HDF5, its metrics',
    access: ANYONE_KNOWN,
    params: one,
    status: 200,
    response: json(z.object({ items: z.array(trainingFile) })),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
  getTrainingFile: {
    method: 'GET',
    path: '/v1/trainings/:training/file',
    summary: 'One of these files',
    access: ANYONE_KNOWN,
    params: one,
    query: z.object({ path: z.string().min(1).max(4096) }),
    status: 200,
    response: bytes(),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
} as const satisfies Endpoints;
