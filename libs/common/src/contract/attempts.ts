import * as z from 'zod';
import { MOST_GPUS } from '../bounds.ts';
import { failure, STEPS } from '../failure.ts';
import { bytesOf, MOST_METRICS } from '../job/bounds.ts';
import { ARCHITECTURES, labelKey, labels, MOST_LABELS, RUNNER_PROTOCOLS } from '../needs.ts';
import { ORDER_KINDS, ORDER_STATUSES, orderResult, orderSpec, stepRecord } from '../order.ts';
import { uuid } from '../uuid.ts';
import { json, nothing } from './contract.ts';
import { gpuDevice } from './orders.ts';

/** An attempt as a worker names it. */
const held = z.object({ order: uuid, attempt: z.int().min(1) });
const worker = z.object({ worker: uuid });
/** Told by a worker of itself: `boot` is new at each start of its process. */
const boot = uuid;

const slots = z.object({
  learn: z.int().min(0),
  predict: z.int().min(0),
  job: z.int().min(0).optional(),
});

/** How many orders of each kind a worker runs at once; no jobs where that is absent. */
export type Slots = z.infer<typeof slots>;

/** See `ticket` of a claim. */
const ticket = z.string().max(4096).optional();

const claim = z.object({
  order: z.string(),
  attempt: z.int(),
  /** The body that was posted, by kind. */
  spec: orderSpec,
  /** Whose order it is, and so whose its result will be on storage; absent where compute-api does not say. */
  owner: z.string().optional(),
  /**
   * A digest of who gets to see what comes of it: a program may go on from a prediction to another of the same owner, problem
   * and audience. Absent: to none, since the order names data that its owner may not read, or nobody has checked it.
   */
  audience: z.string().max(64).optional(),
  /** A digest of all that storage holds for it: of the same things the same. Absent: storage has told of none. */
  inputs: z.string().max(64).optional(),
  /** How many GPUs the worker is to lease to it: what the order asks for, or its problem's default. */
  gpus: z.int().min(0),
  /** How long the lease holds without a renewal. */
  lease_ms: z.int(),
  /**
   * By which storage hands out what the order names and takes its result, until a little after the lease; a renewal
   * brings another. Absent where compute-api signs none, or storage has not checked the order yet.
   */
  ticket,
  /** What the attempt belongs to, where the order is traced (W3C Trace Context). */
  traceparent: z.string().max(200).optional(),
  /** The first number that is free in its log, where an attempt goes on in another process; else 0. */
  log_seq: z.int().min(0).optional(),
});

/** The most events of an attempt that one call tells. */
export const MOST_EVENTS = 200;

/** A line of metrics of a job: an object of JSON. */
export const metricsLine = z
  .record(z.string(), z.json())
  .refine(
    (line) => bytesOf([JSON.stringify(line)]) <= MOST_METRICS.lineBytes,
    `should have ${MOST_METRICS.lineBytes} bytes at the most`,
  );

/** A piece of the log of an attempt. */
const logPiece = z.object({
  step: z.enum(STEPS),
  stream: z.enum(['stdout', 'stderr', 'platform']),
  text: z.string().max(65_536),
});

/** Lines of metrics; `from` is the number of the first in its file, counted from 0. */
const metricsLines = z.object({
  from: z.int().min(0),
  lines: z.array(metricsLine).max(MOST_METRICS.together),
});

/** Where an event stands among those of its attempt, and how long before the call it happened, in milliseconds. */
const place = z.object({ seq: z.int().min(0), ago_ms: z.int().min(0).max(86_400_000).optional() });

/**
 * Something that happened in an attempt: a step started, or ended with what it took; a piece of log; lines of metrics. Each
 * has a number of its own that grows, so that what is told twice is known.
 */
const attemptEvent = z.discriminatedUnion('what', [
  place.extend({ what: z.literal('started'), step: z.enum(STEPS) }),
  place.extend({ what: z.literal('ended'), record: stepRecord }),
  place.extend({ what: z.literal('log'), ...logPiece.shape }),
  place.extend({ what: z.literal('metrics'), ...metricsLines.shape }),
]);

/** See {@link attemptEvent}. */
export type AttemptEvent = z.infer<typeof attemptEvent>;

/** Events of an attempt, oldest first. */
const attemptEvents = z.array(attemptEvent).max(MOST_EVENTS);

/** What happened last in the attempt, as `noteEvents` tells it; what does not fit is left out. */
const last = z.object({ events: attemptEvents.optional() });

/** How a worker says that its attempt ended. */
export const report = z.discriminatedUnion('outcome', [
  /** The result is staged on storage under this order and attempt. */
  last.extend({ outcome: z.literal('done'), result: orderResult }),
  /**
   * What the order's own code or inputs did: the order fails. Of a job, what lay in its folder for outputs may be staged as
   * of one that is done: it is published as that of a failed run.
   */
  last.extend({ outcome: z.literal('failed'), failure, result: orderResult.optional() }),
  /** What we broke: tried again with back-off, failed after the last attempt. */
  last.extend({ outcome: z.literal('error'), failure }),
  /** Given back unharmed: at once up for the next worker, and not counted against the order. */
  last.extend({ outcome: z.literal('released') }),
]);

/** See {@link report}. */
export type Report = z.infer<typeof report>;

/** See the response of `claimOrder`. */
export type Claim = z.infer<typeof claim>;

const attempt = z.object({ id: uuid, attempt: z.coerce.number().int().min(1) });
const fenced = ['invalid_request', 'invalid_json', 'not_found', 'stale_attempt'] as const;

/** The calls between a worker and compute-api. Every write names its attempt; a stale one is 409 and changes nothing. */
export const attempts = {
  registerWorker: {
    method: 'PUT',
    path: '/v1/workers/:worker',
    summary:
      'A worker says what it is; leases of its earlier boots end at once, but for what it goes on with',
    description:
      'A worker whose process was started again may name attempts of its earlier boots in `resume`, whose containers ' +
      'it still has. Those that are its own as before come back in `resumed`, with their leases renewed; all others ' +
      'are taken back. The same call again gets the same answer. An id belongs to the caller who registered it; calls of ' +
      'others for it or for its attempts are 403, until it was gone for the time of a lease and holds nothing. A worker ' +
      'that says that it has `moved` is 409 until its earlier process was not heard of for the time of a lease: if ' +
      '`seen_at` of that answer changes, the earlier one lives.',
    access: ['worker'],
    params: worker,
    body: json(
      z.object({
        boot,
        name: z.string().max(200),
        /** `docker` or `process`; any other is shown, and offers nothing to orders that need a runtime. */
        runtime: z.string().max(100),
        /** The architecture of what it runs; absent: not known yet, and orders that need one do not come here. */
        arch: z.enum(ARCHITECTURES).optional(),
        /** The protocols of the programs that it keeps warm; absent: it keeps none. */
        warm: z.array(z.enum(RUNNER_PROTOCOLS)).max(RUNNER_PROTOCOLS.length).optional(),
        /** What else it offers, as its operator says. */
        labels: labels.optional(),
        /** Keys of its labels that an order has to need before it comes here; absent: it takes any that it can run. */
        dedicated: z.array(labelKey).max(MOST_LABELS).optional(),
        slots,
        /** The GPUs that it leases to orders, and how many orders may share one; absent: it has none. */
        gpus: z
          .object({ devices: z.array(gpuDevice).max(MOST_GPUS), slots: z.int().min(1).max(1000) })
          .optional(),
        /** Attempts of its earlier boots that it can go on with. */
        resume: z.array(held).max(100).optional(),
        /**
         * It runs on another machine than before, or that was started again, so that its disk may be a copy of one whose
         * worker lives.
         */
        moved: z.boolean().optional(),
      }),
    ),
    status: 200,
    response: json(
      z.object({
        lease_ms: z.int(),
        renew_ms: z.int(),
        /** Of what was named to go on with, what it holds; absent where nothing was named. */
        resumed: z.array(claim).optional(),
      }),
    ),
    errors: ['invalid_request', 'invalid_json', 'wrong_state', 'conflict'],
  },
  claimOrder: {
    method: 'POST',
    path: '/v1/workers/:worker/claim',
    summary:
      'Take the due orders of the kinds that fit and whose turn it is; null where none is due, or the queue is paused',
    description:
      'An order fits that asks for no more GPUs than `free_gpus`, and needs nothing that the worker did not offer when it ' +
      'registered, but all that the worker is dedicated to. One that has waited long for GPUs has a worker ' +
      'keep those that come free: until it fits there, that worker gets no younger order that asks for any.',
    access: ['worker'],
    params: worker,
    body: json(
      z.object({
        boot,
        kinds: z.array(z.enum(ORDER_KINDS)).min(1),
        /** How many GPUs could be leased to one more order now; 0 where absent. */
        free_gpus: z.int().min(0).max(MOST_GPUS).optional(),
        /** How many orders of each of the kinds it has room for; absent: one, of any of them. */
        most: slots.partial().optional(),
      }),
    ),
    status: 200,
    response: json(
      z.object({
        /** The first of them. */
        claim: claim.nullable(),
        /** All that it gets, where it has said how many it has room for. */
        claims: z.array(claim).optional(),
        /** Whether asking again at once, with the room and the GPUs that are left, may bring more. */
        more: z.boolean().optional(),
      }),
    ),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'stale_attempt', 'wrong_state'],
  },
  renewLeases: {
    method: 'POST',
    path: '/v1/workers/:worker/renew',
    summary: "Renew all of a worker's leases in one call; those it has lost are named with the reason",
    access: ['worker'],
    params: worker,
    body: json(z.object({ boot, attempts: z.array(held).max(10_000) })),
    status: 200,
    response: json(
      z.object({
        held: z.array(held.extend({ ticket })),
        lost: z.array(held.extend({ reason: z.enum(['cancelled', 'stale']) })),
        lease_ms: z.int(),
      }),
    ),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'stale_attempt'],
  },
  noteEvents: {
    method: 'POST',
    path: '/v1/orders/:id/attempts/:attempt/events',
    summary: 'What has happened in an attempt since the last call, in its order: steps, log, metrics',
    description:
      'Each event has a number, `seq`, that grows within the attempt, and the first one free is `log_seq` of a claim that goes ' +
      'on: what is there already is passed over, so that a call may be repeated. Where one event is refused, all of the call ' +
      'are. `ago_ms` says how long before the call it happened. The calls `step`, `log` and `metrics` are those of workers of ' +
      'before, each of which tells one sort.',
    access: ['worker'],
    params: attempt,
    body: json(z.object({ events: attemptEvents })),
    status: 204,
    response: nothing,
    errors: [...fenced, 'too_large'],
  },
  noteStep: {
    method: 'POST',
    path: '/v1/orders/:id/attempts/:attempt/step',
    summary: 'A step of an attempt started, or ended with what it took',
    access: ['worker'],
    params: attempt,
    body: json(
      z.discriminatedUnion('what', [
        z.object({ what: z.literal('started'), step: z.enum(STEPS) }),
        z.object({ what: z.literal('ended'), record: stepRecord }),
      ]),
    ),
    status: 204,
    response: nothing,
    errors: fenced,
  },
  appendLog: {
    method: 'POST',
    path: '/v1/orders/:id/attempts/:attempt/log',
    summary:
      'Append to the log of an attempt; a `seq` that is there already is dropped, so a call may be repeated',
    access: ['worker'],
    params: attempt,
    body: json(
      z.object({
        chunks: z.array(logPiece.extend({ seq: z.int().min(0) })).max(100),
      }),
    ),
    status: 204,
    response: nothing,
    errors: [...fenced, 'too_large'],
  },
  noteMetrics: {
    method: 'POST',
    path: '/v1/orders/:id/attempts/:attempt/metrics',
    summary: 'Lines of metrics that a job has written: each stands once in its history, in their order',
    description:
      '`from` is the number of the first line in its file, counted from 0. Lines that are there already are passed over, so ' +
      'that a call may be repeated; a gap is refused. `next` is the number of the line that is to come next: a call without ' +
      'lines asks for it. An attempt has a bounded number of lines; `next` counts those beyond too, which are dropped.',
    access: ['worker'],
    params: attempt,
    body: json(metricsLines),
    status: 200,
    response: json(z.object({ next: z.int() })),
    errors: fenced,
  },
  reportAttempt: {
    method: 'POST',
    path: '/v1/orders/:id/attempts/:attempt/report',
    summary: 'An attempt ended. The same report again is answered the same; any other late one is 409',
    access: ['worker'],
    params: attempt,
    body: json(report),
    status: 200,
    response: json(z.object({ status: z.enum(ORDER_STATUSES) })),
    errors: fenced,
  },
} as const;
