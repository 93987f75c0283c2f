import * as z from 'zod';
import type { ResultType } from './contract/resources.ts';
import { STEPS } from './failure.ts';
import { type Job, job } from './job/job.ts';
import {
  goInt,
  goOptionalInt,
  goOptionalNeeds,
  goOptionalString,
  goString,
  goStruct,
  goUuid,
  goUuidList,
} from './wire/go-json.ts';

const score = z.number();

/**
 * What the *perf* step writes as `performance.json`: the overall score, bigger is better, and the scores by data
 * UUID. Other members are kept as they are, for the orchestrator gets the file verbatim.
 */
export const performance = z.looseObject({
  perf: score,
  train_perf: z.record(z.string(), score),
  test_perf: z.record(z.string(), score),
});

/** See {@link performance}. */
export type Performance = z.infer<typeof performance>;

/** The kinds of orders: train a model, predict with one, or run a program on files. */
export const ORDER_KINDS = ['learn', 'predict', 'job'] as const;

/** A kind of order. */
export type OrderKind = (typeof ORDER_KINDS)[number];

/** The kinds that the originals know, and so their orchestrator. */
export type OriginalKind = Exclude<OrderKind, 'job'>;

/** What everyone calls by a name of its own for each kind of order. */
export const KIND_NAMES = {
  learn: { result: 'model', uplet: 'learnuplet' },
  predict: { result: 'prediction', uplet: 'preduplet' },
  job: { result: 'output' },
} as const satisfies Readonly<Record<OrderKind, KindNames>>;

/** See {@link KIND_NAMES}. */
export interface KindNames {
  /** The resource on storage that such an order makes. */
  readonly result: ResultType;
  /** What the orchestrator calls such an order; absent where it knows none. */
  readonly uplet?: 'learnuplet' | 'preduplet';
}

/**
 * The states of an order: `waiting` for its start model or until storage has checked it, `todo`, `pending` with a worker,
 * and three ends.
 * Only a retry that somebody asks for leads out of `failed` and `cancelled`; nothing leads out of `done`.
 */
export const ORDER_STATUSES = ['waiting', 'todo', 'pending', 'done', 'failed', 'cancelled'] as const;

/** A state of an order. */
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** True for the states that nothing leads out of by itself. */
export function hasEnded(status: OrderStatus): boolean {
  return status === 'done' || status === 'failed' || status === 'cancelled';
}

/** The states that the originals' `status` field may name, in the order of their error text. */
export const WIRE_STATUSES = ['done', 'failed', 'pending', 'todo'] as const;

/**
 * A training order as the originals post and queue it; absent members have the originals' zero values. Six are ours:
 * `gpus`, how many GPUs the algorithm is to have; where it is absent, what the problem has by default (see
 * `setProblemDefaults`). `needs`, what its worker has to offer (see `orderNeeds`): nothing where absent. `owner`, on
 * whose share it is run: the caller where absent. `priority` among the orders of its owner, from -10 to 10: 0 where
 * absent. `group`, the group of its owner that it belongs to, by its name (see {@link GROUP_NAME}); none where absent.
 * `parameters`, JSON that the algorithm finds in `/data/parameters.json` when it trains: no such file where absent.
 */
export const learnuplet = goStruct({
  uuid: goUuid,
  problem: goUuid,
  workflow: goUuid,
  train_data: goUuidList,
  test_data: goUuidList,
  algo: goUuid,
  model_start: goUuid,
  model_end: goUuid,
  rank: goInt,
  worker: goUuid,
  status: goString,
  timestamp_request: goInt,
  timestamp_done: goInt,
  gpus: goOptionalInt,
  needs: goOptionalNeeds,
  owner: goOptionalString,
  priority: goOptionalInt,
  group: goOptionalString,
  parameters: goOptionalString,
});

/** See {@link learnuplet}. */
export type Learnuplet = z.output<typeof learnuplet>;

/** A prediction order as the originals post and queue it; `gpus`, `needs`, `owner`, `priority`, `group` as for {@link learnuplet}. */
export const preduplet = goStruct({
  uuid: goUuid,
  problem: goUuid,
  workflow: goUuid,
  model: goUuid,
  data: goUuid,
  worker: goUuid,
  status: goString,
  timestamp_request: goInt,
  timestamp_done: goInt,
  prediction_storage_uuid: goUuid,
  gpus: goOptionalInt,
  needs: goOptionalNeeds,
  owner: goOptionalString,
  priority: goOptionalInt,
  group: goOptionalString,
});

/** See {@link preduplet}. */
export type Preduplet = z.output<typeof preduplet>;

/** An order as it is kept: its kind beside the body that was posted, of a job too as its `uplet`. */
export const orderSpec = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('learn'), uplet: learnuplet }),
  z.object({ kind: z.literal('predict'), uplet: preduplet }),
  z.object({ kind: z.literal('job'), uplet: job }),
]);

/** See {@link orderSpec}. */
export type OrderSpec =
  | { readonly kind: 'learn'; readonly uplet: Learnuplet }
  | { readonly kind: 'predict'; readonly uplet: Preduplet }
  | { readonly kind: 'job'; readonly uplet: Job };

/** What one step of an attempt took. */
export const stepRecord = z.object({
  step: z.enum(STEPS),
  /** Wall-clock seconds; what a clock that was set back has made negative is 0. */
  seconds: z.number().overwrite((seconds) => Math.max(0, seconds)),
  /** True where the work was found done (an image or a detarget result of the same digests). */
  cached: z.boolean().optional(),
  /** Of work that a warm runner did: how many calls, of the same owner, the runner had answered before. */
  reused: z.int().min(0).optional(),
  exit_code: z.int().optional(),
  peak_memory_bytes: z.int().optional(),
  cpu_seconds: z.number().optional(),
});

/** See {@link stepRecord}. */
export type StepRecord = z.infer<typeof stepRecord>;

/** Numbers by name that a job wrote as `score.json` among its outputs. */
export const resultScores = z
  .record(z.string().max(200), z.number())
  .refine((scores) => Object.keys(scores).length <= 100, 'should be at most 100 numbers');

/** What an attempt brought: the digest and size of the staged model, prediction or output, and for `learn` the scores. */
export const orderResult = z.object({
  /** The id of the model, prediction or output on storage. */
  uuid: z.string(),
  sha256: z.string(),
  size: z.int(),
  performance: performance.optional(),
  /** Of a job. */
  scores: resultScores.optional(),
});

/** See {@link orderResult}. */
export type OrderResult = z.infer<typeof orderResult>;

/** The broker's topics on which orders are announced, by their kind: each message is an order's body. */
export const TOPICS = { learn: 'train', predict: 'prediction', job: 'job' } as const;

/** The broker's topic on which workers hear that an order is not to run any more: each message is its id. */
export const CANCEL_TOPIC = 'cancel';
