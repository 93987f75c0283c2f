import * as z from 'zod';
import { MOST_GPUS, MOST_IN_BATCH, MOST_OWNER_CHARACTERS, MOST_WEIGHT } from '../bounds.ts';
import { calls } from '../calls/routes.ts';
import { MOST_IN_JOB } from '../job/bounds.ts';
import { job } from '../job/job.ts';
import { jobAccepted } from '../job/view.ts';
import { learnuplet, ORDER_KINDS, ORDER_STATUSES, orderSpec, preduplet } from '../order.ts';
import { searches } from '../search/routes.ts';
import { uuid } from '../uuid.ts';
import { attempts } from './attempts.ts';
import { ANYONE_KNOWN, bytes, defineContract, events, goJson, json, jsonLines } from './contract.ts';
import { groupName, groups } from './groups.ts';
import { orchestratorContract } from './orchestrator.ts';
import {
  batchAnswer,
  logChunk,
  metricsPage,
  orderEvent,
  orderPage,
  orderSummary,
  orderView,
  ownerView,
  whyView,
  workerView,
} from './orders.ts';
import { retentionEndpoints } from './retention.ts';
import { pageQuery } from './service.ts';

const message = z.object({ message: z.string() });
const one = z.object({ id: uuid });
const problem = z.object({ problem: uuid });
const problemDefaults = z.strictObject({ gpus: z.int().min(0).max(MOST_GPUS) });
const owner = z.object({ owner: z.string().min(1).max(MOST_OWNER_CHARACTERS) });
const share = z.strictObject({ weight: z.int().min(1).max(MOST_WEIGHT) });
const resume = z.object({
  'last-event-id': z
    .string()
    .regex(/^\d{1,15}$/, 'should be the id of an event')
    .optional(),
});

const WITHHELD =
  'Of steps that saw data which the caller may not read, it has what the problem discloses (see `shown` of an order).';

/** What keeps an order from being taken in. `wrong_state`: its group is full, or was cancelled. */
const PLACING = [
  'invalid_json',
  'invalid_order',
  'forbidden',
  'conflict',
  'wrong_state',
  'too_large',
  'unavailable',
] as const;

/** compute-api: the four routes of the original, and ours for people (`/v1`) and for workers. */
export const computeContract = defineContract({
  title: 'Morpheo compute API',
  description: 'Takes orders, keeps their state, hands them to workers, and tells the orchestrator.',
  errorKey: 'error',
  realm: 'Authorization Required',
  order: 'id',
  endpoints: {
    index: {
      method: 'GET',
      path: '/',
      summary: 'The routes of the original',
      access: 'public',
      status: 200,
      response: json(z.array(z.string())),
      errors: [],
      classic: true,
    },
    learn: {
      method: 'POST',
      path: '/learn',
      summary: 'Order a training; 202 means that it is on disk',
      description: 'The same order again is 202 and the same order; the same uuid with another body is 409.',
      access: 'intake',
      body: goJson(learnuplet),
      status: 202,
      response: json(message),
      errors: [...PLACING],
      classic: true,
    },
    pred: {
      method: 'POST',
      path: '/pred',
      summary: 'Order a prediction; 202 means that it is on disk',
      description: 'The same order again is 202 and the same order; the same uuid with another body is 409.',
      access: 'intake',
      body: goJson(preduplet),
      status: 202,
      response: json(message),
      errors: [...PLACING],
      classic: true,
    },
    postJob: {
      method: 'POST',
      path: '/v1/jobs',
      summary: 'Order a job, an image or an algorithm that is run on files; 202 means that it is on disk',
      description:
        'The same job again is 202 and the same order; the same uuid with another body is 409. Its outputs are what lies ' +
        'in `/outputs` at the end, also where it ends with another exit code than 0, and has failed.',
      access: ['orchestrator'],
      body: json(job, MOST_IN_JOB.bytes),
      status: 202,
      response: json(jobAccepted),
      errors: ['invalid_request', ...PLACING],
    },
    postOrders: {
      method: 'POST',
      path: '/v1/orders/batch',
      summary: `Order up to ${MOST_IN_BATCH.toLocaleString('en')} things at once, a line each; 202 of a line means that it is on disk`,
      description:
        'Each line is an order: `{"kind":"predict","uplet":{…}}`, its body as `/learn`, `/pred` and `/v1/jobs` take it. Each is ' +
        'answered by a line, in their order; empty lines are passed over. A line that is refused leaves the others as they are. ' +
        'Lines are taken one after another: one may start from the model that an earlier one makes. The same batch again ' +
        'changes nothing, so one that was cut off is sent once more.',
      access: ['orchestrator'],
      body: jsonLines(orderSpec),
      status: 200,
      response: jsonLines(batchAnswer),
      errors: ['unavailable'],
    },
    listOrders: {
      method: 'GET',
      path: '/v1/orders',
      summary: 'Orders, newest first',
      description: WITHHELD,
      access: ANYONE_KNOWN,
      query: z.object({
        ...pageQuery,
        kind: z.enum(ORDER_KINDS).optional(),
        status: z.enum(ORDER_STATUSES).optional(),
        problem: uuid.optional(),
        algo: uuid.optional(),
        owner: z.string().min(1).max(MOST_OWNER_CHARACTERS).optional(),
        /** A group of the `owner`; of the caller where that is absent. */
        group: groupName.optional(),
        /** A label of jobs, as `name=value`: of the caller's own, unless the caller may order in the name of others. */
        label: z
          .string()
          .max(400)
          .regex(/^[^=]+=/, 'should be name=value')
          .optional(),
      }),
      status: 200,
      response: json(orderPage),
      errors: ['invalid_request'],
    },
    getOrder: {
      method: 'GET',
      path: '/v1/orders/:id',
      summary: 'One order with its attempts and its failure',
      description: WITHHELD,
      access: ANYONE_KNOWN,
      params: one,
      status: 200,
      response: json(orderView),
      errors: ['invalid_request', 'not_found'],
    },
    orderEvents: {
      method: 'GET',
      path: '/v1/orders/:id/events',
      summary: 'What happens to an order, from its beginning or after `Last-Event-ID`, until it ends',
      description: WITHHELD,
      access: ANYONE_KNOWN,
      params: one,
      headers: resume,
      status: 200,
      response: events(orderEvent),
      errors: ['invalid_request', 'not_found'],
    },
    orderMetrics: {
      method: 'GET',
      path: '/v1/orders/:id/metrics',
      summary: 'The lines of metrics that a job has told so far, those of earlier attempts first',
      description:
        'An attempt that goes on from the checkpoint of another may tell lines again. None are told to who may not see what ' +
        'the job prints.',
      access: ANYONE_KNOWN,
      params: one,
      query: z.object(pageQuery),
      status: 200,
      response: json(metricsPage),
      errors: ['invalid_request', 'not_found'],
    },
    orderLog: {
      method: 'GET',
      path: '/v1/orders/:id/log',
      summary: "An order's log as text; with `follow` it goes on until the order ends",
      description: WITHHELD,
      access: ANYONE_KNOWN,
      params: one,
      query: z.object({
        follow: z
          .stringbool()
          .meta({ enum: ['true', 'false'] })
          .optional(),
        attempt: z.coerce.number().int().min(1).optional(),
      }),
      status: 200,
      response: bytes('text/plain'),
      errors: ['invalid_request', 'not_found'],
    },
    orderLogEvents: {
      method: 'GET',
      path: '/v1/orders/:id/log/events',
      summary: "An order's log as events, from its beginning or after `Last-Event-ID`, until it ends",
      description: WITHHELD,
      access: ANYONE_KNOWN,
      params: one,
      headers: resume,
      status: 200,
      response: events(logChunk),
      errors: ['invalid_request', 'not_found'],
    },
    whyOrder: {
      method: 'GET',
      path: '/v1/orders/:id/why',
      summary: 'Why an order is where it is, as a code and one sentence',
      description: WITHHELD,
      access: ANYONE_KNOWN,
      params: one,
      status: 200,
      response: json(whyView),
      errors: ['invalid_request', 'not_found'],
    },
    cancelOrder: {
      method: 'POST',
      path: '/v1/orders/:id/cancel',
      summary: 'End an order that has not ended; what runs is stopped. Again: the same answer',
      access: ['orchestrator'],
      params: one,
      status: 200,
      response: json(orderSummary),
      errors: ['invalid_request', 'not_found', 'wrong_state'],
    },
    retryOrder: {
      method: 'POST',
      path: '/v1/orders/:id/retry',
      summary: 'Try an order again that failed or was cancelled',
      access: ['orchestrator'],
      params: one,
      status: 200,
      response: json(orderSummary),
      errors: ['invalid_request', 'not_found', 'wrong_state'],
    },
    getProblemDefaults: {
      method: 'GET',
      path: '/v1/problems/:problem/defaults',
      summary: 'What orders of a problem ask for where they do not say; nothing where it was never set',
      access: ANYONE_KNOWN,
      params: problem,
      status: 200,
      response: json(problemDefaults),
      errors: ['invalid_request'],
    },
    setProblemDefaults: {
      method: 'PUT',
      path: '/v1/problems/:problem/defaults',
      summary: 'Say what orders of a problem ask for where they do not say; it holds for orders to come',
      access: ['orchestrator'],
      params: problem,
      body: json(problemDefaults),
      status: 200,
      response: json(problemDefaults),
      errors: ['invalid_request', 'invalid_json'],
    },
    listOwners: {
      method: 'GET',
      path: '/v1/owners',
      summary:
        'Who has orders, or a weight: by name, with what is queued and what part of the claims each gets',
      access: ['admin'],
      query: z.object(pageQuery),
      status: 200,
      response: json(z.object({ items: z.array(ownerView), next: z.string().optional() })),
      errors: ['invalid_request'],
    },
    getOwner: {
      method: 'GET',
      path: '/v1/owners/:owner',
      summary: "An owner's weight: 1 where it was never set",
      access: ['admin'],
      params: owner,
      status: 200,
      response: json(share),
      errors: ['invalid_request'],
    },
    setOwner: {
      method: 'PUT',
      path: '/v1/owners/:owner',
      summary:
        "Set an owner's weight: while several have due orders, each gets claims in proportion to its weight",
      description: 'Orders that came without credentials belong to the owner `anonymous`.',
      access: ['admin'],
      params: owner,
      body: json(share),
      status: 200,
      response: json(share),
      errors: ['invalid_request', 'invalid_json'],
    },
    listWorkers: {
      method: 'GET',
      path: '/v1/workers',
      summary: 'The workers and what they run',
      access: ANYONE_KNOWN,
      status: 200,
      response: json(z.object({ items: z.array(workerView) })),
      errors: [],
    },
    getQueue: {
      method: 'GET',
      path: '/v1/queue',
      summary: 'How many orders are in each state, and whether claims are paused',
      access: ANYONE_KNOWN,
      status: 200,
      response: json(
        z.object({
          paused: z.boolean(),
          counts: z.record(z.string(), z.int()),
          /** The states that more orders are in than `counts` says: they are counted up to 10,000. */
          more: z.array(z.enum(ORDER_STATUSES)).optional(),
        }),
      ),
      errors: [],
    },
    pauseQueue: {
      method: 'PUT',
      path: '/v1/queue',
      summary: 'Pause or resume the claiming of orders; what runs goes on',
      access: ['admin'],
      body: json(z.strictObject({ paused: z.boolean() })),
      status: 200,
      response: json(z.object({ paused: z.boolean() })),
      errors: ['invalid_request', 'invalid_json'],
    },
    ...groups,
    ...retentionEndpoints,
    ...attempts,
    ...calls,
    ...searches,
  },
});

/** See {@link computeContract}. */
export type ComputeContract = typeof computeContract;

const { setWorker, learnDone, predDone } = orchestratorContract.endpoints;

/** The calls that a worker of the originals makes to its orchestrator, by the names that the orchestrator's API has. */
export const foreignEndpoints = { setWorker, learnDone, predDone };

/**
 * compute-api in the place of the orchestrator that workers of the originals call: its own routes, and the callbacks of
 * such a worker about an order of the queue.
 */
export const foreignComputeContract = defineContract({
  ...computeContract,
  endpoints: { ...computeContract.endpoints, ...foreignEndpoints },
});

/** See {@link foreignComputeContract}. */
export type ForeignComputeContract = typeof foreignComputeContract;
