import * as z from 'zod';
import { json } from '../contract/contract.ts';
import { type DiceboxDialect, type Endpoints, keyed } from './dialects.ts';

const request = {
  path: '/api/train/request',
  summary: 'Order a training of the pictures that there are',
  ...keyed,
  response: json(z.object({ training_request_id: z.string().nullable() })),
} as const;

/** What workers offer that have the picture trainer, and what its orders need. */
export const TRAINER_LABELS = { trainer: 'pictures-1' } as const;

/** What an order of a training is labelled with, so that it is found again. */
export const TRAINING_LABELS = { training: 'dicebox.training', set: 'dicebox.set' } as const;

/** The routes of the training service, by dialect: that of 2019 orders a training by a GET. */
export const DICEBOX_TRAINING = {
  '2017': { requestTraining: { ...request, method: 'POST', status: 201 } },
  '2019': { requestTraining: { ...request, method: 'GET', status: 202 } },
} as const satisfies Record<DiceboxDialect, Endpoints>;

/** The routes of our own for trainings. */
export const DICEBOX_TRAINING_V1 = {} as const satisfies Endpoints;
