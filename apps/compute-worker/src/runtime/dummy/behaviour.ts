import { OrderFailure } from '@morpheo/common';
import { z } from 'zod';

/** The steps that the dummy plays; `build` is a preparation. */
export const DUMMY_STEPS = ['build', 'detarget', 'train', 'perf', 'predict', 'job'] as const;

/** See {@link DUMMY_STEPS}. */
export type DummyStep = (typeof DUMMY_STEPS)[number];

/** What a step does instead of, or beside, what the container contract asks. In this order. */
const dummyBehaviour = z.strictObject({
  /** Waits before it does anything, in milliseconds. */
  sleep_ms: z.number().min(0).optional(),
  /** Rejects: `build_failed` as the order's doing (a build alone), the others as the platform's. */
  throw: z.enum(['build_failed', 'unavailable', 'internal', 'disk_full']).optional(),
  /** Prints this many bytes on stdout, a line of 100 at a time. */
  print_bytes: z.int().min(0).optional(),
  /** Prints these texts. */
  stdout: z.string().optional(),
  stderr: z.string().optional(),
  /** True: writes nothing of what the contract asks. */
  idle: z.boolean().optional(),
  /** Files to write after that, by their path in the container, below a mount. */
  write: z.record(z.string(), z.string()).optional(),
  /** Links to make, from their path in the container to what they point to. */
  link: z.record(z.string(), z.string()).optional(),
  /** Files to remove, by their path in the container. */
  remove: z.array(z.string()).optional(),
  exit: z.int().min(0).max(255).optional(),
  ended: z.enum(['timed_out', 'out_of_memory', 'output_limit', 'disk_full']).optional(),
});

/** See the members; all may be left out. */
export type DummyBehaviour = z.input<typeof dummyBehaviour>;

const dummyScript = z.strictObject({
  build: dummyBehaviour.optional(),
  detarget: dummyBehaviour.optional(),
  train: dummyBehaviour.optional(),
  perf: dummyBehaviour.optional(),
  predict: dummyBehaviour.optional(),
  job: dummyBehaviour.optional(),
});

/** What the steps do, by name; a step that is not named does what the contract asks. */
export type DummyScript = z.input<typeof dummyScript>;

/** Reads a `dummy.json`. Throws `build_failed` where it is none. */
export function parseScript(text: string): DummyScript {
  try {
    return dummyScript.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : 'It is not JSON.';
    const message = `dummy.json cannot be used. ${why}`;
    throw new OrderFailure('build_archive_broken', { message, file: 'dummy.json' }, error);
  }
}
