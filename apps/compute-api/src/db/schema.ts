import type {
  AttemptOutcome,
  FailureReason,
  OrderEvent,
  OrderKind,
  OrderStatus,
  SearchArm,
  SearchStatus,
} from '@morpheo/common';
import type { Transaction } from 'kysely';

/**
 * The tables of compute-api. Times are milliseconds since 1970 by the database's clock, JSON is text, so that the
 * same queries run on every engine.
 */
export interface Schema {
  orders: OrderRow;
  attempts: AttemptRow;
  events: EventRow;
  logs: LogRow;
  outbox: OutboxRow;
  workers: WorkerRow;
  worker_runners: WorkerRunnersRow;
  need_terms: NeedTermRow;
  offers: OfferRow;
  switches: SwitchRow;
  problem_defaults: ProblemDefaultsRow;
  owners: OwnerRow;
  shares: ShareRow;
  samples: SampleRow;
  foreign_messages: ForeignMessageRow;
  order_groups: OrderGroupRow;
  order_labels: OrderLabelRow;
  order_inputs: OrderInputRow;
  removed_orders: RemovedOrderRow;
  retention_positions: RetentionPositionRow;
  searches: SearchRow;
  search_trials: SearchTrialRow;
  search_runs: SearchRunRow;
}

/** A transaction on the tables of compute-api. */
export type Tx = Transaction<Schema>;

/** One order: the one truth about it. `attempt` is the fencing token: it grows at each claim and never falls. */
export interface OrderRow {
  id: string;
  kind: OrderKind;
  status: OrderStatus;
  /** JSON of an `OrderSpec`. */
  spec: string;
  /** SHA-256 of what makes the order the same order. */
  identity: string;
  /** Empty where its kind has none. */
  problem: string;
  workflow: string;
  algo: string | null;
  model: string | null;
  model_start: string | null;
  /** The model that it makes; of a job, its output. */
  model_end: string | null;
  /** How many GPUs an attempt is given: what was posted, or what the problem had by default then. */
  gpus: number;
  /** 1 where `gpus` is not 0, else 0: orders with and without have a queue each. */
  asks_gpus: number;
  /** The id of what it needs of its worker, see {@link NeedTermRow}; empty where that is nothing. */
  needs: string;
  /** The worker that keeps the GPUs that come free for this order, once it has waited long for them. */
  gpus_kept_by: string | null;
  /** On whose share it is run; empty for what came without credentials. */
  owner: string;
  /** Among the orders of its owner, from -10 to 10. */
  priority: number;
  /** Its owner's orders are claimed by this time, the earliest first: that of its creation, moved by its priority. */
  turn_at: number;
  attempt: number;
  /** How many attempts were broken by the platform, or lost alone: compared with the most that are allowed. */
  charged: number;
  /** How many attempts were lost beside others, whose doing that may have been: those are not charged. */
  lost_beside: number;
  /** 1 where it has to be run alone, else 0. */
  alone: number;
  /** The worker that takes nothing else until it can run this order alone. */
  alone_on: string | null;
  worker: string | null;
  boot: string | null;
  /** Set exactly while an attempt runs: `pending` and not yet publishing. */
  lease_until: number | null;
  /** No claim before this time. */
  due_at: number;
  /** When to wake workers (again); null where nobody is to be woken. The row is its own outbox for publications. */
  publish_after: number | null;
  publishes: number;
  /** How often it was begun: 1, and one more with each retry on request. Storage tells late calls by it. */
  round: number;
  /** JSON of a `Pin`: what storage holds for this round, once it has checked it. Stays when the order has ended. */
  pin: string | null;
  /** The order that makes the start model. */
  waits_for: string | null;
  /** The failed order for which the platform placed this one, on a public sample. The orchestrator knows nothing of it. */
  sample_of: string | null;
  /** JSON of a `MadeResult`: set once an attempt has won, before its result is published. */
  result: string | null;
  /** JSON of a `Failure`. */
  failure: string | null;
  /** The group of its owner that it belongs to. */
  group_name: string | null;
  /**
   * The overall score of what is done as everybody may see it, and why it failed or was cancelled: as `result` and
   * `failure` have them, to be found by an index. `reason` is null in what ended before there were groups.
   */
  score: number | null;
  reason: FailureReason | null;
  /** The `traceparent` (W3C Trace Context) of what placed the order, where somebody traces it. */
  trace: string | null;
  /** How many rows of `events` the order has. */
  events: number;
  /** How many rows of `outbox` it ever had. */
  effects: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
}

/** One try of a worker. */
export interface AttemptRow {
  order_id: string;
  attempt: number;
  worker: string;
  boot: string;
  started_at: number;
  ended_at: number | null;
  outcome: AttemptOutcome | null;
  failure: string | null;
  /** SHA-256 of the report that ended it, so that the same report again is known. */
  report: string | null;
  log_bytes: number;
  /** How many lines of metrics it has told of. */
  metrics: number;
  /** The first number that is free for an event that it tells of. */
  noted: number;
}

/** One entry of an order's history; `n` counts from 1 within the order. */
export interface EventRow {
  order_id: string;
  n: number;
  at: number;
  attempt: number;
  what: OrderEvent['what'];
  status: OrderStatus;
  details: string;
}

/** One piece of log; `seq` is the worker's own count within the attempt. */
export interface LogRow {
  order_id: string;
  attempt: number;
  seq: number;
  at: number;
  step: string;
  stream: 'stdout' | 'stderr' | 'platform';
  text: string;
}

/** An effect on another system that a transaction has decided; the row goes when the effect has happened. */
export interface OutboxRow {
  order_id: string;
  n: number;
  /** Effects of one lane of an order happen in their order; lanes do not wait for one another. */
  lane: 'storage' | 'orchestrator' | 'callback' | 'orders';
  /** JSON of an `Effect`. */
  effect: string;
  due_at: number;
  /** Null for what was decided before this was noted. */
  created_at: number | null;
  tries: number;
  last_error: string | null;
}

/** A worker as it last described itself. */
export interface WorkerRow {
  id: string;
  boot: string;
  name: string;
  runtime: string;
  learn_slots: number;
  predict_slots: number;
  job_slots: number;
  gpu_total: number;
  /** How many orders may share a GPU. */
  gpu_slots: number;
  /** JSON of a list of `GpuDevice`. */
  gpus: string;
  seen_at: number;
  /** The name of the caller who registered it; null where nobody was asked for credentials. */
  caller: string | null;
}

/** What a process of a worker has told last of its warm runners. */
export interface WorkerRunnersRow {
  worker: string;
  boot: string;
  /** When that was. */
  at: number;
  /** JSON of a list of `RunnerReport`. */
  runners: string;
}

/** A label of a job, as `name=value`. */
export interface OrderLabelRow {
  label: string;
  order_id: string;
}

/** An output of another job that a job has as an input. */
export interface OrderInputRow {
  output: string;
  order_id: string;
}

/** A term of what orders need, such as `arch=amd64`; all with one id belong together. Written once, and never changed. */
export interface NeedTermRow {
  id: string;
  term: string;
}

/** A term that a worker offers, as it last described itself. */
export interface OfferRow {
  worker: string;
  term: string;
  /** 1: it takes only orders that need this. */
  demanded: number;
}

/** When an algorithm was last tried on a public sample because it had failed on hidden data. */
export interface SampleRow {
  algo: string;
  placed_at: number;
}

/** What a message for workers of the originals calls an order, where that is not the id of the order. */
export interface ForeignMessageRow {
  id: string;
  order_id: string;
}

/** What is left of an order that was removed because of its age: so that the same order sent again is not run again. */
export interface RemovedOrderRow {
  id: string;
  /** As in {@link OrderRow}. */
  identity: string;
  removed_at: number;
}

/** Up to which order, by the time of its end, something has been removed. */
export interface RetentionPositionRow {
  name: 'logs';
  ended_at: number;
  id: string;
}

/** A switch of the operator. */
export interface SwitchRow {
  name: 'paused';
  value: number;
}

/** What orders of a problem ask for where they do not say. */
export interface ProblemDefaultsRow {
  problem: string;
  gpus: number;
}

/** An owner whose weight was set. */
export interface OwnerRow {
  owner: string;
  weight: number;
}

/**
 * How much of the claims an owner has had, as start-time fair queueing counts it by the clock of a kind: in millionths of a
 * claim of an owner of weight 1. Absent for an owner that never was charged.
 */
export interface ShareRow {
  kind: OrderKind;
  owner: string;
  /** The start tag of its last claim of the kind; the greatest of a kind is the virtual time of the kind. */
  start_tag: number;
  /** The finish tag of that claim, moved by the claim of another kind that `elsewhere` is about. */
  finish_tag: number;
  /** 1 where a claim of another kind was counted since its last claim of this kind, else 0. */
  elsewhere: number;
}

/** A group of orders of one owner: it is there from its first order on. How its orders stand is read from them alone. */
export interface OrderGroupRow {
  owner: string;
  name: string;
  created_at: number;
  /** How many orders were ever placed in it: never more than a group may have. */
  posted: number;
  /** What was asked last of all its orders at once: `retry_all` is of the cancelled ones as well. */
  asked: 'cancel' | 'retry' | 'retry_all' | null;
  asked_by: string | null;
  asked_at: number | null;
  /** 1 while that is being carried out, else 0. The row is its own outbox for it. */
  under_way: number;
}

/** A search: what was posted, and how far it is. Its trials and their orders have tables of their own. */
export interface SearchRow {
  id: string;
  /** As in {@link OrderRow}, as all its orders have it. */
  owner: string;
  /** JSON of a `Search`. */
  spec: string;
  /** SHA-256 of what makes the search the same search. */
  identity: string;
  status: SearchStatus;
  /** Why it has ended. */
  why: string | null;
  /** How many results it has heard of. */
  told: number;
  /** How many orders it has placed. */
  placed: number;
  /** The runs (`n`) of the best trial, and of the best of the random arm; null where there is none. */
  best: number | null;
  control_best: number | null;
  /** When it is looked at again though no order of it has ended; null where that is not needed. */
  due_at: number | null;
  created_at: number;
  ended_at: number | null;
}

/** A set of parameters that a search tries. */
export interface SearchTrialRow {
  search_id: string;
  /** From 0 over both arms, in the order in which they began. */
  number: number;
  arm: SearchArm;
  /** JSON of an object. */
  parameters: string;
}

/** An order of a trial, which is its run at a rung. */
export interface SearchRunRow {
  search_id: string;
  /** Counts what the search has placed, from 1. */
  n: number;
  trial: number;
  resource: number;
  order_id: string;
  /** What its order makes on storage. */
  output: string;
  /** How many results the search had heard of when it placed it. */
  after: number;
  placed_at: number;
  /** 1 until the search has heard how it ended, or has ended itself. */
  open: number;
  /** The place of its result among those of the search, from 1; null where the search has not heard of it. */
  told: number | null;
  value: number | null;
  failed: string | null;
  seconds: number | null;
}
