import * as z from 'zod';
import { performance } from '../order.ts';
import { defineContract, json, unread } from './contract.ts';

const upletType = z.object({ type: z.enum(['learnuplet', 'preduplet']), uuid: z.string() });
const one = z.object({ uuid: z.string() });
const collection = z.enum(['problem', 'algo', 'data', 'learnuplet', 'preduplet']);
const document = z.record(z.string(), z.unknown());
const failed = z.object({ status: z.literal('failed') });

/** What is told when a training ended: the performance file verbatim and the status. */
export const learnDone = z.union([performance.extend({ status: z.literal('done') }), failed]);

/** What is told when a prediction ended. */
export const predDone = z.union([
  z.object({ status: z.literal('done'), prediction_storage_uuid: z.string() }),
  failed,
]);

/**
 * The orchestrator: the callbacks that compute-api makes, and the rest of its API, which the stand-in serves.
 * It answers 400 to a callback that changes nothing; see the client for what that means to a sender.
 */
export const orchestratorContract = defineContract({
  title: 'Morpheo orchestrator API',
  description: 'Knows the problems and algorithms, decides what is trained next, and hears what came of it.',
  errorKey: 'Error',
  realm: 'Authentication Required',
  endpoints: {
    setWorker: {
      method: 'POST',
      path: '/worker/:type/:uuid',
      summary: 'An order was taken by a worker',
      access: ['worker', 'orchestrator'],
      params: upletType,
      body: json(z.object({ worker: z.string() })),
      status: 200,
      response: unread(document),
      errors: ['invalid_request', 'not_found'],
      classic: true,
    },
    learnDone: {
      method: 'POST',
      path: '/learndone/:uuid',
      summary: 'A training ended',
      access: ['worker', 'orchestrator'],
      params: one,
      body: json(learnDone),
      status: 200,
      response: unread(document),
      errors: ['invalid_request'],
      classic: true,
    },
    predDone: {
      method: 'POST',
      path: '/preddone/:uuid',
      summary: 'A prediction ended',
      access: ['worker', 'orchestrator'],
      params: one,
      body: json(predDone),
      status: 200,
      response: unread(document),
      errors: ['invalid_request'],
      classic: true,
    },
    postProblem: {
      method: 'POST',
      path: '/problem',
      summary: 'Make a problem known',
      access: ['orchestrator', 'uploader'],
      body: json(
        z.object({
          uuid: z.string(),
          workflow: z.string(),
          test_dataset: z.array(z.string()),
          size_train_dataset: z.int().min(1),
        }),
      ),
      status: 201,
      response: json(document),
      errors: ['invalid_request'],
      classic: true,
    },
    postAlgo: {
      method: 'POST',
      path: '/algo',
      summary: 'Make an algorithm known: its learnuplets are made, rank 0 is ordered',
      access: ['orchestrator', 'uploader'],
      body: json(z.object({ uuid: z.string(), name: z.string(), problem: z.string() })),
      status: 201,
      response: json(document),
      errors: ['invalid_request'],
      classic: true,
    },
    postData: {
      method: 'POST',
      path: '/data',
      summary: 'Make data known: the algorithms of its problems go on with it',
      access: ['orchestrator', 'uploader'],
      body: json(
        z.object({ uuid: z.union([z.string(), z.array(z.string())]), problems: z.array(z.string()) }),
      ),
      status: 201,
      response: json(document),
      errors: ['invalid_request'],
      classic: true,
    },
    postPrediction: {
      method: 'POST',
      path: '/prediction',
      summary: 'Order a prediction with the best model of a problem',
      access: ['orchestrator', 'reader'],
      body: json(z.object({ data: z.string(), problem: z.string() })),
      status: 201,
      response: json(document),
      errors: ['invalid_request'],
      classic: true,
    },
    list: {
      method: 'GET',
      path: '/:collection',
      summary: 'The documents of a collection; each query parameter is a filter by equality',
      access: ['orchestrator', 'uploader', 'reader'],
      params: z.object({ collection }),
      query: z.looseObject({}),
      status: 200,
      response: json(z.record(z.string(), z.array(document))),
      errors: ['not_found'],
      classic: true,
    },
    get: {
      method: 'GET',
      path: '/:collection/:uuid',
      summary: 'One document',
      access: ['orchestrator', 'uploader', 'reader'],
      params: z.object({ collection, uuid: z.string() }),
      status: 200,
      response: json(document),
      errors: ['not_found'],
      classic: true,
    },
  },
});

/** See {@link orchestratorContract}. */
export type OrchestratorContract = typeof orchestratorContract;
