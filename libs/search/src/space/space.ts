import * as z from 'zod';
import { type Json, json } from '../canonical.ts';
import { networkRanges } from '../network/ranges.ts';

/** The most choices of a parameter, and the most values that a condition lists. */
const MOST_VALUES = 1_000;
/** The most parameters of a space: checking it, and each trial, takes time that grows with them. */
const MOST_PARAMETERS = 200;

/** Where a parameter is there at all: each named parameter has one of the listed values. */
const when = z.record(
  z.string(),
  z
    .array(z.union([z.string(), z.number(), z.boolean()]))
    .min(1)
    .max(MOST_VALUES),
);

const numeric = {
  low: z.number(),
  high: z.number(),
  /** Drawn evenly on a logarithmic scale. */
  log: z.boolean().default(false),
  /** Only `low`, `low + step`, … are drawn. */
  step: z.number().positive().optional(),
  when: when.optional(),
};

/** One parameter of a search space. */
export const parameter = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('float'), ...numeric }),
  z.strictObject({
    kind: z.literal('int'),
    ...numeric,
    low: z.int(),
    high: z.int(),
    step: z.int().positive().optional(),
  }),
  z.strictObject({
    kind: z.literal('choice'),
    choices: z.array(json).min(1, 'should have one choice at least').max(MOST_VALUES),
    when: when.optional(),
  }),
  z.strictObject({ kind: z.literal('bool'), when: when.optional() }),
  z.strictObject({ kind: z.literal('network'), ...networkRanges.shape, when: when.optional() }),
]);

/** One parameter of a search space: what values it may have. */
export type Parameter = z.infer<typeof parameter>;

/** The parameters of a search by name. Whether they contradict one another, `searchSpec` tells. */
export const searchSpace = z
  .record(z.string().min(1).max(100), parameter)
  .refine((space) => Object.keys(space).length <= MOST_PARAMETERS, {
    message: `should have at most ${MOST_PARAMETERS} parameters`,
    // What follows looks at each beside the others.
    abort: true,
  })
  // Those would be found in objects that have no such parameter.
  .refine((space) => Object.keys(space).every((name) => !(name in Object.prototype)), {
    message:
      'should not name a parameter as what each object of JavaScript has, such as constructor or toString',
    abort: true,
  });

/** The parameters of a search by name. */
export type SearchSpace = z.infer<typeof searchSpace>;

/** The values of a trial's parameters by name. One that is not there under its `when` is absent. */
export type Parameters = Readonly<Record<string, Json>>;
