import * as z from 'zod';
import { MOST_OWNER_CHARACTERS } from '../bounds.ts';
import { ANYONE_KNOWN, json, nothing } from '../contract/contract.ts';
import { sha256Hex } from '../digest.ts';
import { MOST_IN_JOB } from '../job/bounds.ts';
import { jobAccepted } from '../job/view.ts';
import { RUNNER_PROTOCOLS } from '../needs.ts';
import { uuid } from '../uuid.ts';
import { callAnswer, callDone, callId, callRequest, callSpec, MOST_IN_CALL, ofCall } from './call.ts';

/** How many calls, or runners, one exchange may tell of. */
const MOST_TOLD = 2000;

const givenCall = ofCall.extend({
  /** The same for calls that one runner may answer one after another: they differ below `/in/` alone. */
  key: sha256Hex,
  spec: callSpec,
  /** Whose call it is; absent where compute-api does not say. */
  owner: z.string().optional(),
  gpus: z.int().min(0),
  /**
   * By which storage hands out what the call names, as to attempt 1 of the order that the ticket names. Absent where
   * compute-api signs none, and where the call names nothing on storage.
   */
  ticket: z.string().max(4096).optional(),
  /** The order and attempt of the ticket, as `pinnedInputs` of storage takes them; absent where the call names nothing. */
  pinned: z.object({ order: uuid, attempt: z.int().min(1) }).optional(),
  /** The model that the caller named, for people; absent where it named an image or an algorithm. */
  model: uuid.optional(),
  /** How long it may still wait until it runs, in milliseconds. */
  wait_ms: z.int().min(0),
  /** How long it may run; absent: as long as the worker allows. */
  run_ms: z.int().min(1).optional(),
});

/** A call that is given to a worker. */
export type GivenCall = z.infer<typeof givenCall>;

/** The states of a runner: `broken` has failed at its last starts, and its calls fail until somebody asks again. */
export const RUNNER_STATES = ['starting', 'idle', 'busy', 'ending', 'broken'] as const;

const runnerReport = z.object({
  /** What it is: calls, and orders, of one key may be answered by the same runner. */
  key: sha256Hex,
  state: z.enum(RUNNER_STATES),
  protocol: z.enum(RUNNER_PROTOCOLS),
  owner: z.string().max(MOST_OWNER_CHARACTERS),
  /** Its image, or the algorithm that was built. */
  image: z.string().max(1000),
  model: z.string().max(100).optional(),
  /** What its container uses, where that is known, or else may use. */
  memory_bytes: z.int().min(0).optional(),
  gpus: z.int().min(0),
  /** Since it was started, in seconds. */
  age_seconds: z.int().min(0),
  /** That it has answered. */
  calls: z.int().min(0),
  /** That wait for it. */
  waiting: z.int().min(0),
  /** Why its last start failed, where it did. */
  problem: z.string().max(1000).optional(),
});

/** What a worker tells of one of its runners. */
export type RunnerReport = z.infer<typeof runnerReport>;

const runnerView = runnerReport.extend({
  worker: z.string(),
  /** The name of the worker. */
  worker_name: z.string(),
});

/** A runner, as people see it. */
export type RunnerView = z.infer<typeof runnerView>;

/** What a worker, or a compute-api in its place, tells of its calls, and of what room it has. */
const exchange = z.object({
  boot: uuid,
  /** Grows from one exchange of a process to the next: what an earlier one says of room and runners is old. */
  seq: z.int().min(0),
  /** For how many calls it could begin another runner now. */
  room: z.int().min(0).max(MOST_TOLD),
  /**
   * What another runner could have of the worker's memory and GPUs now, and what one could ever have. Absent: no bound is
   * known.
   */
  limits: z
    .object({ memory_bytes: z.int().min(0), gpus: z.int().min(0), most_memory_bytes: z.int().min(0) })
    .optional(),
  /** How many more calls it would take now for runners that it has, or starts, by the key of calls. */
  ready: z.array(z.object({ key: sha256Hex, room: z.int().min(0) })).max(MOST_TOLD),
  /** The calls that it has, those in `done` left out. */
  holds: z.array(callId).max(MOST_TOLD),
  /** Those that have ended since. Told again until an exchange was answered that told of them. */
  done: z.array(callDone).max(MOST_TOLD),
  /** All its runners, where they have changed. */
  runners: z.array(runnerReport).max(MOST_TOLD).optional(),
  /** How long the answer may be kept back where there is nothing to tell, in milliseconds. */
  wait_ms: z.int().min(0).max(30_000),
});

/** See the body of `exchangeCalls`. */
export type CallExchange = z.infer<typeof exchange>;

const exchanged = z.object({
  /** The calls that it has to take. One that it has, or had, may come again: it is run once. */
  calls: z.array(givenCall),
  /** Of those that it holds the ones that nobody waits for any more. */
  cancelled: z.array(callId),
  /** The keys of broken runners that are to be started again. */
  retry: z.array(sha256Hex),
});

/** See the answer of `exchangeCalls`. */
export type CallsExchanged = z.infer<typeof exchanged>;

/** The routes of calls in warm runners, for callers, workers, and compute-apis among themselves. */
export const calls = {
  postCall: {
    method: 'POST',
    path: '/v1/calls',
    summary: 'Call a program that is kept warm, and get its answer: nothing is kept of it',
    description:
      'Unlike an order it leaves no trace, and it is lost with the connection: whoever closes that cancels it. 422: its program ' +
      'has answered it with an error; 429: too many calls wait; 503: nobody can run it, or its runner or worker was lost; ' +
      '504: it has waited, or run, longer than it may. With `Prefer: respond-async` (RFC 7240) it becomes an order instead, ' +
      'a job with `warm`, and that is 202: nothing else is.',
    access: ['orchestrator'],
    headers: z.object({ prefer: z.string().max(200).optional() }),
    body: json(callRequest, MOST_IN_JOB.bytes),
    status: 200,
    response: json(z.union([callAnswer, jobAccepted])),
    deferred: (answer: unknown): string | undefined =>
      typeof answer === 'object' && answer !== null && 'uuid' in answer
        ? `/v1/orders/${answer.uuid}`
        : undefined,
    errors: [
      'invalid_request',
      'invalid_json',
      'invalid_order',
      'forbidden',
      'not_found',
      'conflict',
      'wrong_state',
      'too_large',
      'call_failed',
      'rate_limited',
      'unavailable',
      'deadline_passed',
    ],
  },
  listRunners: {
    method: 'GET',
    path: '/v1/runners',
    summary: 'The programs that workers keep warm: of the caller, and for admins all',
    access: ANYONE_KNOWN,
    status: 200,
    response: json(z.object({ items: z.array(runnerView) })),
    errors: [],
  },
  retryRunner: {
    method: 'POST',
    path: '/v1/runners/:key/retry',
    summary: 'Have a runner started again whose last starts failed: its worker hears of it at once',
    access: ['orchestrator'],
    params: z.object({ key: sha256Hex }),
    status: 204,
    response: nothing,
    errors: ['invalid_request', 'not_found'],
  },
  exchangeCalls: {
    method: 'POST',
    path: '/v1/workers/:worker/calls',
    summary: 'A worker tells how calls have ended and for how many it has room, and hears of new ones',
    description:
      'The answer is kept back until there is something to tell, at most `wait_ms`, and until the next exchange of the same ' +
      'worker comes. A worker keeps one open, and takes whichever calls it offers to run.',
    access: ['worker'],
    params: z.object({ worker: uuid }),
    body: json(exchange, MOST_IN_CALL.exchangeBytes),
    status: 200,
    response: json(exchanged),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'stale_attempt', 'too_large', 'unavailable'],
  },
  relayCalls: {
    method: 'POST',
    path: '/v1/instances/calls',
    summary:
      'The same between two compute-apis, for a worker whose exchange the one has, and whose calls the other',
    access: ['compute'],
    body: json(
      exchange.extend({
        worker: uuid,
        /** What it offers, as terms. */
        offers: z.array(z.string().max(400)).max(100),
        /** Those of them that a call has to need before it goes there. */
        demands: z.array(z.string().max(400)).max(100).default([]),
        /** How many GPUs it has. */
        gpus: z.int().min(0),
      }),
      MOST_IN_CALL.exchangeBytes,
    ),
    status: 200,
    response: json(exchanged),
    errors: ['invalid_request', 'invalid_json', 'too_large', 'unavailable'],
  },
} as const;
