import * as z from 'zod';
import { type Json, json } from '../canonical.ts';
import { networkRanges } from '../network/ranges.ts';

/** Where a parameter is there at all: each named parameter has one of the listed values. */
const when = z.record(z.string(), z.array(z.union([z.string(), z.number(), z.boolean()])).min(1));

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
    choices: z.array(json).min(1, 'should have one choice at least').max(1_000),
    when: when.optional(),
  }),
  z.strictObject({ kind: z.literal('bool'), when: when.optional() }),
  z.strictObject({ kind: z.literal('network'), ...networkRanges.shape, when: when.optional() }),
]);

/** One parameter of a search space: what values it may have. */
export type Parameter = z.infer<typeof parameter>;

/** The parameters of a search by name. Whether they contradict one another, `searchSpec` tells. */
export const searchSpace = z.record(z.string().min(1).max(100), parameter);

/** The parameters of a search by name. */
export type SearchSpace = z.infer<typeof searchSpace>;

/** The values of a trial's parameters by name. One that is not there under its `when` is absent. */
export type Parameters = Readonly<Record<string, Json>>;
