import * as z from 'zod';
import { MOST_GPUS } from '../bounds.ts';
import { ERROR_CODES } from '../errors.ts';
import { bytesOf, decodedBytes, MOST_IN_JOB } from '../job/bounds.ts';
import { job, jobLimits } from '../job/job.ts';
import { brokenRunnerInput } from '../job/places.ts';
import { RUNNER_PROTOCOLS } from '../needs.ts';
import { uuid } from '../uuid.ts';

/** The bounds of calls; sizes in bytes. */
export const MOST_IN_CALL = {
  /** The longest that a call may wait for a runner, in seconds. */
  waitSeconds: 600,
  /** How long it waits where it does not say, in seconds. */
  usualWaitSeconds: 60,
  /** All outputs together, decoded: a call with more is to be an order. */
  outputBytes: 8 * 1024 * 1024,
  outputs: 1000,
  /** The end of what a program printed during a call, in characters. */
  logCharacters: 65_536,
  /** The body of an exchange: who has more to tell makes several of it. */
  exchangeBytes: 32 * 1024 * 1024,
} as const;

const { image, algo, command, env, inputs, needs, owner } = job.shape;

const callInputs = inputs.unwrap().superRefine((all, context) => {
  for (const [index, { path, bucket }] of all.entries()) {
    if (bucket !== undefined)
      context.addIssue({
        code: 'custom',
        path: [index, 'bucket'],
        message:
          'should be absent: a call reads no buckets, an order does (Prefer: respond-async with a job)',
      });
    const message = brokenRunnerInput(path, false);
    if (message !== undefined) context.addIssue({ code: 'custom', path: [index, 'path'], message });
  }
});

const PROGRAMS = ['image', 'algo', 'model'] as const;

/**
 * A call in a warm runner, which is answered at once and never kept: what runs, and what it is called with. Its members are
 * those of a job with `warm`, and mean the same: inputs below `/in/` are of this call, all others, the command and the
 * variables of the runner.
 */
export const callRequest = z
  .strictObject({
    image,
    algo,
    /** In place of an image or an algorithm: a model on storage, which its own algorithm serves; it lies at `/data/model`. */
    model: uuid.optional(),
    /** What its program speaks; `runner` where absent. */
    warm: z.enum(RUNNER_PROTOCOLS).optional(),
    command,
    env,
    inputs: callInputs.optional(),
    /** `wall_seconds`: how long it may run, once a runner has begun with it. */
    limits: jobLimits.optional(),
    gpus: z.int().min(0).max(MOST_GPUS).optional(),
    needs,
    /** By whose rights it is run: the caller's where absent. */
    owner,
    /** How long it may wait for a runner, its start included. */
    wait_seconds: z.int().min(1).max(MOST_IN_CALL.waitSeconds).optional(),
  })
  .refine(
    (call) => PROGRAMS.filter((one) => call[one] !== undefined).length === 1,
    'should have exactly one of image, algo and model',
  )
  .refine((call) => call.image === undefined || call.needs?.runtime !== 'process', {
    path: ['needs', 'runtime'],
    message: 'should be docker, or absent: an image runs nowhere else',
  })
  .refine(({ warm = 'runner', needs: wanted }) => (wanted?.warm ?? warm) === warm, {
    path: ['needs', 'warm'],
    message: 'should be absent: a call needs what it says with warm',
  });

/** See {@link callRequest}. */
export type CallRequest = z.infer<typeof callRequest>;

/** Bytes as base64. Checked in one pass: a pattern with groups takes memory for each of them. */
const base64 = z
  .string()
  .refine((text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), 'should be base64');

const outputs = z
  .array(z.object({ name: z.string().min(1).max(MOST_IN_JOB.pathBytes), data: base64 }))
  .max(MOST_IN_CALL.outputs)
  .refine(
    (all) => all.reduce((sum, { data }) => sum + decodedBytes(data), 0) <= MOST_IN_CALL.outputBytes,
    `should have ${MOST_IN_CALL.outputBytes} bytes in all at the most`,
  );

const milliseconds = z.number().min(0);

/** How long a call has taken, in milliseconds: for a runner that is free, until that had started, and running. */
const clocks = z.object({ waited: milliseconds, started: milliseconds, ran: milliseconds });

const log = z.string().max(MOST_IN_CALL.logCharacters);

/** See {@link CallAnswer}. */
export const callAnswer = z.object({
  /** Its id: in what is measured and logged of it, and nowhere else once it is answered. */
  call: z.string(),
  /** The files that it left, by their paths in its folder for outputs. */
  outputs,
  /** How many calls, of the same owner, its runner had answered before. */
  reused: z.int().min(0),
  ms: clocks,
  /** The end of what its program printed meanwhile; absent where that is nothing. */
  log: log.optional(),
});

/** What a call is answered. */
export type CallAnswer = z.infer<typeof callAnswer>;

/** The id of a call. */
export const callId = z.string().regex(/^[0-9a-f]{12}-[0-9a-f]{20}$/, 'should be the id of a call');
/** What is of one call. */
export const ofCall = z.object({ call: callId });
const PHASES = ['waiting', 'starting', 'running'] as const;
const message = z.string().max(4000);

/** How a call has ended at a worker. */
export const callDone = z.discriminatedUnion('outcome', [
  ofCall.extend({ outcome: z.literal('done'), ...callAnswer.omit({ call: true }).shape }),
  /** Its program has answered it with an error of its own. */
  ofCall.extend({
    outcome: z.literal('failed'),
    message,
    type: z.string().max(200).optional(),
    traceback: z.string().max(MOST_IN_CALL.logCharacters).optional(),
    log: log.optional(),
  }),
  /** Its runner ended before it had answered. */
  ofCall.extend({ outcome: z.literal('ended'), message, log: log.optional() }),
  /** One of its clocks has run out. */
  ofCall.extend({ outcome: z.literal('timed_out'), phase: z.enum(PHASES), log: log.optional() }),
  /** It was not run, or its answer cannot be given: as the error says. */
  ofCall.extend({ outcome: z.literal('refused'), code: z.enum(ERROR_CODES), message, log: log.optional() }),
]);

/** See {@link callDone}. */
export type CallDone = z.infer<typeof callDone>;

/** How many bytes say how a call has ended, as JSON: exchanges have a bound, and who prints what is escaped has more of them. */
export function bytesOfDone(done: CallDone): number {
  if (done.outcome !== 'done') return bytesOf([JSON.stringify(done)]);
  // The outputs are most of it, and nothing in base64 is escaped.
  const named = done.outputs.map(({ name }) => ({ name, data: '' }));
  const data = done.outputs.reduce((sum, output) => sum + output.data.length, 0);
  return data + bytesOf([JSON.stringify({ ...done, outputs: named })]);
}

/** What a worker is to run for a call: a job with `warm`, without what is of orders alone. */
export const callSpec = z.object({
  image,
  algo,
  warm: z.enum(RUNNER_PROTOCOLS),
  command,
  env,
  inputs,
  limits: jobLimits.optional(),
});

/** See {@link callSpec}. */
export type CallSpec = z.infer<typeof callSpec>;
