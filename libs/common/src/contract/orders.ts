import * as z from 'zod';
import { disclosed, SEEING_STEPS } from '../disclosure.ts';
import { ERROR_CODES } from '../errors.ts';
import { failure } from '../failure.ts';
import { jobView } from '../job/view.ts';
import { ARCHITECTURES, labelKey, labels, orderNeeds, RUNNER_PROTOCOLS } from '../needs.ts';
import { ORDER_KINDS, ORDER_STATUSES, orderResult, stepRecord } from '../order.ts';
import { pageOf, timestamp } from './service.ts';

/** How an attempt ended; `released`: given back unharmed by a worker that stops; `lost`: its lease ran out. */
export const ATTEMPT_OUTCOMES = ['done', 'failed', 'error', 'released', 'lost', 'cancelled'] as const;

/** How an attempt ended. */
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** One try of a worker at an order. */
export const attemptView = z.object({
  attempt: z.int(),
  worker: z.string(),
  started_at: timestamp,
  ended_at: timestamp.optional(),
  outcome: z.enum(ATTEMPT_OUTCOMES).optional(),
  failure: failure.optional(),
  steps: z.array(stepRecord),
});

/** See {@link attemptView}. */
export type AttemptView = z.infer<typeof attemptView>;

/** An order as a list shows it. Ids that do not apply to its kind, or are nil, are absent. */
export const orderSummary = z.object({
  id: z.string(),
  kind: z.enum(ORDER_KINDS),
  status: z.enum(ORDER_STATUSES),
  problem: z.string().optional(),
  workflow: z.string().optional(),
  algo: z.string().optional(),
  /** predict: the model that predicts. */
  model: z.string().optional(),
  model_start: z.string().optional(),
  model_end: z.string().optional(),
  train_data: z.array(z.string()).optional(),
  test_data: z.array(z.string()).optional(),
  /** predict: the data set to predict. */
  data: z.string().optional(),
  rank: z.int().optional(),
  /** job: what it runs, on what; told to those alone who may see the orders of its owner. */
  job: jobView.optional(),
  /** The failed order for which the platform placed this one, on the public sample of its problem. */
  sample_of: z.string().optional(),
  /** How many GPUs its algorithm gets. */
  gpus: z.int(),
  /** What its worker has to offer; absent where it runs anywhere. */
  needs: orderNeeds.optional(),
  /** On whose share it is run. */
  owner: z.string(),
  /** Its priority among the orders of its owner, from -10 to 10. */
  priority: z.int(),
  /** The group of its owner that it belongs to; told to those alone who may see the group. */
  group: z.string().optional(),
  /** How often it was claimed; the fencing token of the attempt that holds it. */
  attempt: z.int(),
  created_at: timestamp,
  started_at: timestamp.optional(),
  ended_at: timestamp.optional(),
  /** Of a job that failed, what it had written until then. Digest and size of what was made are for who may see the data of the order, and for its owner. */
  result: orderResult.partial({ sha256: true, size: true }).optional(),
  failure: failure.optional(),
});

/** An owner of orders: its weight, its orders that have not ended, and what part of the claims it gets. */
export const ownerView = z.object({
  owner: z.string(),
  weight: z.int(),
  /** Orders that wait for the model of another, or until storage has checked them. */
  waiting: z.int(),
  /** Orders that a worker may claim, or may after a pause. */
  due: z.int(),
  /** Orders that a worker holds. */
  running: z.int(),
  /**
   * By kind, from 0 to 1: what part of the claims it gets by its weight while all that have due orders of the kind now
   * have them, and none of them is served in another kind too; absent where it has none.
   */
  share: z.object({
    learn: z.number().optional(),
    predict: z.number().optional(),
    job: z.number().optional(),
  }),
});

/** See {@link ownerView}. */
export type OwnerView = z.infer<typeof ownerView>;

/** See {@link orderSummary}. */
export type OrderSummary = z.infer<typeof orderSummary>;

/** Where a due order stands among those of its kind; an estimate, since orders, workers and weights come and go. */
export const queuePosition = z.object({
  /** 1 for the order that is claimed next. */
  place: z.int().min(1),
  /** When it starts, if all goes on as it did; absent where there is nothing to tell it from. */
  expected_start: timestamp.optional(),
  /** What the expectation rests on, or why there is none, in one sentence. */
  basis: z.string(),
});

/** See {@link queuePosition}. */
export type QueuePosition = z.infer<typeof queuePosition>;

/** An order with its attempts, and while it is due its place in the queue. */
export const orderView = orderSummary.extend({
  attempts: z.array(attemptView),
  queue: queuePosition.optional(),
  /** The order that runs its algorithm on the public sample of the problem, with an open log, since it failed. */
  sample_order: z.string().optional(),
  /**
   * What reaches the caller of each step that sees data; absent where all does. Where it is there, times and sizes are
   * rounded up, the history and the steps of an attempt stop at the first step that is not `all` until the attempt is over, and scores to the digits that the problem discloses.
   */
  shown: z.partialRecord(z.enum([...SEEING_STEPS, 'job']), disclosed).optional(),
});

/** See {@link orderView}. */
export type OrderView = z.infer<typeof orderView>;

/** A page of orders. */
export const orderPage = pageOf(orderSummary);

/** What is answered to a line of a batch of orders; the order is on disk where `status` is 202. */
export const batchAnswer = z.object({
  /** The number of the line, from 1. */
  line: z.int(),
  status: z.int(),
  /** Of an order that was taken in: its id, and of a job that keeps outputs on storage the id that these will have. */
  uuid: z.string().optional(),
  output: z.string().optional(),
  /** Of one that was refused. */
  code: z.enum(ERROR_CODES).optional(),
  detail: z.string().optional(),
});

/** See {@link batchAnswer}. */
export type BatchAnswer = z.infer<typeof batchAnswer>;

/** What happened to an order, append-only: the live view and the history are read from these. */
export const ORDER_EVENTS = [
  'accepted',
  'ready',
  'checked',
  'claimed',
  'resumed',
  'step_started',
  'step_ended',
  'metrics',
  'released',
  'lost',
  'error',
  'publishing',
  'done',
  'failed',
  'cancelled',
  'retried',
  'told',
] as const;

/** One entry of an order's history. `details` holds what the kind of entry has to say. */
export const orderEvent = z.object({
  at: timestamp,
  order: z.string(),
  attempt: z.int(),
  what: z.enum(ORDER_EVENTS),
  status: z.enum(ORDER_STATUSES),
  details: z.record(z.string(), z.unknown()),
});

/** See {@link orderEvent}. */
export type OrderEvent = z.infer<typeof orderEvent>;

/** Lines of metrics that a job has told, each with the attempt that told it; `next` is absent on the last page. */
export const metricsPage = z.object({
  items: z.array(z.object({ attempt: z.int(), line: z.record(z.string(), z.unknown()) })),
  next: z.string().optional(),
});

/** See {@link metricsPage}. */
export type MetricsPage = z.infer<typeof metricsPage>;

/** A piece of an order's log, as a step printed it. */
export const logChunk = z.object({
  at: timestamp,
  attempt: z.int(),
  step: z.string(),
  stream: z.enum(['stdout', 'stderr', 'platform']),
  text: z.string(),
});

/** See {@link logChunk}. */
export type LogChunk = z.infer<typeof logChunk>;

/** Why an order is where it is: a code to act on and one sentence to read. */
export const whyView = z.object({
  code: z.enum([
    'ended',
    'running',
    'publishing',
    'paused',
    'waits_for_model',
    'being_checked',
    'storage_away',
    'backing_off',
    'no_worker',
    'workers_busy',
    'no_worker_offers',
    'needs_docker',
    'workers_dedicated',
    'too_few_gpus',
    'gpus_busy',
    'position',
  ]),
  sentence: z.string(),
  /** How many orders of its kind are claimed before it: an estimate, as they stand now. */
  before: z.int().optional(),
  /** When it starts, if all goes on as it did; absent where there is nothing to tell it from. */
  expected_start: timestamp.optional(),
  /** Until when it backs off, or when storage is asked again. */
  until: timestamp.optional(),
  /** The order that makes the model it waits for. */
  waits_for: z.string().optional(),
});

/** See {@link whyView}. */
export type WhyView = z.infer<typeof whyView>;

/** A GPU as its worker names it; `memory_bytes` is 0 where it is not known. */
export const gpuDevice = z.object({
  id: z.string().max(200),
  name: z.string().max(200),
  memory_bytes: z.int().min(0),
});

/** See {@link gpuDevice}. */
export type GpuDevice = z.infer<typeof gpuDevice>;

/** A worker and what it runs. `alive` where it was heard of within its lease. */
export const workerView = z.object({
  id: z.string(),
  name: z.string(),
  runtime: z.string(),
  /** The architecture of what it runs; absent where it did not say. */
  arch: z.enum(ARCHITECTURES).optional(),
  /** The protocols of the programs that it keeps warm; absent where it keeps none. */
  warm: z.array(z.enum(RUNNER_PROTOCOLS)).optional(),
  /** What else it offers to orders that need it; absent where that is nothing. */
  labels: labels.optional(),
  /** Keys of these that an order has to need before it comes here; absent where it takes any that it can run. */
  dedicated: z.array(labelKey).optional(),
  alive: z.boolean(),
  last_seen_at: timestamp,
  /** How many orders of each kind it runs at once. */
  slots: z.object({ learn: z.int(), predict: z.int(), job: z.int() }),
  /** Its GPUs, how many orders may share one, and how many leases of one GPU its orders hold. */
  gpus: z.object({ devices: z.array(gpuDevice), slots: z.int(), leased: z.int() }),
  running: z.array(
    z.object({
      order: z.string(),
      attempt: z.int(),
      kind: z.enum(ORDER_KINDS),
      gpus: z.int(),
      since: timestamp,
    }),
  ),
});

/** See {@link workerView}. */
export type WorkerView = z.infer<typeof workerView>;
