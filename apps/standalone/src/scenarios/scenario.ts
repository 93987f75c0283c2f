import { failure, ORDER_STATUSES, orderNeeds, STEPS, whyView } from '@morpheo/common';
import { z } from 'zod';

const name = z.string().min(1);
const program = name;

/** One thing that is done, in order: each names the order that it is about. */
const step = z.union([
  /** Orders a training. `after`: the next rank of that order. `algo`: a program, `archive:…`, or `unknown`. */
  z.strictObject({
    learn: name,
    algo: program,
    after: name.optional(),
    train: z.literal('unknown').optional(),
    group: name.optional(),
    needs: orderNeeds.optional(),
  }),
  /** Orders a prediction with the model of an order, or with an unknown one. */
  z.strictObject({ predict: name, with: name }),
  /** Orders a job. `reads`: an order whose output it finds at `/in/before`, once that has ended; or an unknown one. */
  z.strictObject({ job: name, algo: program, command: z.array(z.string()), reads: name.optional() }),
  /** Posts the same body once more. */
  z.strictObject({ again: name }),
  /** Waits until the reason why an order waits is this one. */
  z.strictObject({ waits: name, why: whyView.shape.code }),
  /** Cancels an order once it is in a step, or at once. */
  z.strictObject({ cancel: name, when: z.enum(STEPS).optional() }),
  /** Cancels all orders of a group. */
  z.strictObject({ cancelGroup: name }),
  /** Tries an order again once it has failed. */
  z.strictObject({ retry: name }),
]);

/** What has become of an order in the end; texts of `failure` and `log` are looked for in what there is. */
const expectation = z.strictObject({
  status: z.enum(ORDER_STATUSES),
  attempts: z.int().optional(),
  steps: z.array(z.enum(STEPS)).optional(),
  perf: z.number().optional(),
  /** The files of the model's archive, whole. */
  model: z.record(name, z.string()).optional(),
  /** The predictions, whole. */
  prediction: z.string().optional(),
  /** The files that a job left, whole, by their paths. */
  outputs: z.record(name, z.string()).optional(),
  log: z.string().optional(),
  failure: z
    .strictObject({
      reason: failure.shape.reason,
      step: z.enum(STEPS).optional(),
      exit_code: z.int().optional(),
      message: z.string().optional(),
      log_tail: z.string().optional(),
    })
    .optional(),
});

/** A scenario: what is ordered with which programs, and what is to come of it. */
export const scenario = z.strictObject({
  title: z.string(),
  problem: program,
  steps: z.array(step).min(1),
  expect: z.record(name, expectation),
});

/** See {@link scenario}. */
export type Scenario = z.infer<typeof scenario>;

/** See {@link scenario}. */
export type ScenarioStep = z.infer<typeof step>;

/** See {@link scenario}. */
export type Expectation = z.infer<typeof expectation>;
