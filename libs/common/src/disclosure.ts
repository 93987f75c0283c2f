import * as z from 'zod';

/** The steps that see data: what they do and print may tell of it. */
export const SEEING_STEPS = ['detarget', 'train', 'perf', 'predict'] as const;

/** A step that sees data. */
export type SeeingStep = (typeof SEEING_STEPS)[number];

/** The most of the end of a step's output that a problem may disclose, in bytes. */
export const MOST_LAST_BYTES = 65_536;

/**
 * What of a step reaches those who may not read the data that it saw. `nothing`: that it ran, and if it failed the
 * typed reason. `summary`: also its exit code, its peak memory, and its seconds rounded up to ten. `last_bytes`: also
 * the end of what it printed, once its attempt is over. `all`: everything, as it happens.
 */
export const disclosed = z.union([
  z.enum(['nothing', 'summary', 'all']),
  z.strictObject({ last_bytes: z.int().min(1).max(MOST_LAST_BYTES) }),
]);

/** See {@link disclosed}. */
export type Disclosed = z.infer<typeof disclosed>;

/** The most significant digits that a score has. */
export const MOST_DIGITS = 17;

/**
 * The output budget of a problem: what reaches those who may not read the data of an order, by step; and with how many
 * significant digits its scores.
 */
export const disclosure = z.strictObject({
  detarget: disclosed,
  train: disclosed,
  perf: disclosed,
  predict: disclosed,
  digits: z.int().min(1).max(MOST_DIGITS),
});

/** See {@link disclosure}. */
export type Disclosure = z.infer<typeof disclosure>;

/** The output budget of a problem whose owner has chosen none. */
export const DEFAULT_DISCLOSURE: Disclosure = {
  detarget: 'nothing',
  train: 'summary',
  perf: 'nothing',
  predict: 'summary',
  digits: 4,
};
