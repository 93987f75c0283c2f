import * as z from 'zod';

/** What ended an order that failed, and whose doing it was. */
export interface FailureMeaning {
  /** `order`: what the order's own code or inputs did, a result, never tried again. `platform`: what we broke. */
  readonly fault: 'order' | 'platform';
  readonly advice: string;
}

/** The closed list of reasons for which an order ends without a result. */
export const FAILURES = {
  out_of_memory: { fault: 'order', advice: 'Use less memory, or ask the operator for a higher limit.' },
  timed_out: {
    fault: 'order',
    advice:
      'Make the step faster, or allow it more time: a job says its own (limits.wall_seconds), the operator the most.',
  },
  exit_code: { fault: 'order', advice: 'Read the log: the program ended by itself with an error.' },
  build_failed: {
    fault: 'order',
    advice: 'Mend what the message names, and upload the archive again under a new id.',
  },
  missing_result: { fault: 'order', advice: 'Write the file that is named, at the path that is named.' },
  invalid_result: { fault: 'order', advice: 'Write the file in the form that the container contract gives.' },
  forbidden: {
    fault: 'order',
    advice: 'Ask who owns what is named for the right to use it so, then retry the order.',
  },
  input_not_found: { fault: 'order', advice: 'Upload what is named, or correct the id in the order.' },
  withheld: {
    fault: 'order',
    advice: 'What it made or printed holds what it may not: the owner of the problem can say more.',
  },
  output_limit: { fault: 'order', advice: 'Print less: the output of a step is bounded.' },
  disk_full: {
    fault: 'order',
    advice:
      'Write less where the limit was the order’s own; where a disk of the platform was full, ask the operator.',
  },
  cancelled: { fault: 'order', advice: 'The order was cancelled; retry it if that was a mistake.' },
  worker_lost: {
    fault: 'platform',
    advice: 'Every worker that took the order was lost; ask the operator, then retry.',
  },
  internal: { fault: 'platform', advice: 'The platform failed; ask the operator, then retry.' },
} as const satisfies Record<string, FailureMeaning>;

/** A reason of the closed list. */
export type FailureReason = keyof typeof FAILURES;

/** The steps of all workflows, in the order in which they run; `inputs` and `results` are ours, not containers. */
export const STEPS = ['inputs', 'build', 'detarget', 'train', 'perf', 'predict', 'job', 'results'] as const;

/** A step of a workflow. */
export type Step = (typeof STEPS)[number];

/** Why an order failed, with what a person needs to act: as it is stored, shown and sent. */
export const failure = z.object({
  reason: z.enum(Object.keys(FAILURES) as [FailureReason, ...FailureReason[]]),
  message: z.string().max(4000),
  step: z.enum(STEPS).optional(),
  exit_code: z.int().optional(),
  limit: z.string().max(200).optional(),
  peak: z.string().max(200).optional(),
  file: z.string().max(1000).optional(),
  /** What the program of a call in a warm runner said of its error; a long traceback has lost its beginning. */
  exception: z
    .object({
      message: z.string().max(4000),
      type: z.string().max(200).optional(),
      traceback: z.string().max(8000).optional(),
    })
    .optional(),
  log_tail: z.array(z.string().max(2000)).max(40).optional(),
  /** What to do about exactly this; where absent, the advice of the reason holds. */
  hint: z.string().max(1000).optional(),
});

/** See {@link failure}. */
export type Failure = z.infer<typeof failure>;
