import * as z from 'zod';
import { json } from './canonical.ts';
import { type Parameters, searchSpace } from './space/space.ts';

const share = z.number().min(0).max(1);
/** Of the trials that a rung has seen, one in so many goes on to the next. */
const reduction = z.number().min(2).max(100).default(3);

/** How a search chooses what it tries next, by name. */
export const strategy = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('aging-evolution'),
    /** How many of the youngest trials a parent is chosen from; before there are so many, trials are random. */
    population: z.int().min(2).max(10_000).default(20),
    /** How many of them are drawn, of which the best is the parent. */
    sample: z.int().min(1).max(10_000).default(5),
    reduction,
  }),
  z.strictObject({ name: z.literal('random'), reduction }),
  z.strictObject({
    name: z.literal('grid'),
    reduction,
    /** In how many places a `float` without a `step`, or an `int` with more values, is tried. */
    points: z.int().min(2).max(1_000).optional(),
  }),
  z.strictObject({
    name: z.literal('dicebox'),
    population: z.int().min(2).max(10_000).default(50),
    generations: z.int().min(1).max(100_000).default(100),
    retain: share.default(0.4),
    random_select: share.default(0.1),
    mutate_chance: share.default(0.2),
  }),
]);

/** How a search chooses what it tries next. */
export type Strategy = z.infer<typeof strategy>;

/** When a search ends by itself, whichever comes first; each arm has so much. */
export const budget = z.strictObject({
  /** How many sets of parameters are tried. */
  trials: z.int().min(1).max(100_000).optional(),
  /** For how many seconds trials run, added up over all of them. */
  seconds: z.number().positive().optional(),
  /** How much of the resource (epochs, say) is given out. */
  resource: z.number().positive().optional(),
});

/** Which of two values is better. */
export const goal = z.enum(['maximize', 'minimize']);

/** The members of a search's description that decide what is tried, for descriptions that have more. */
export const searchShape = {
  space: searchSpace,
  strategy: strategy.default({ name: 'aging-evolution', population: 20, sample: 5, reduction: 3 }),
  seed: z.int().min(0),
  objective: z.object({ goal }),
  budget,
  /** A value that ends the search when a trial reaches it. */
  stop_at: z.number().optional(),
  /** How much of the resource a trial gets, from rung to rung: rising. `[1]` where a trial runs once. */
  rungs: z.array(z.int().min(1).max(1_000_000)).min(1).max(20).default([1]),
  /** Parameters that are tried before all others, such as those of an earlier search. */
  start: z.array(z.record(z.string(), json)).max(10_000).default([]),
  /** A second arm draws at random, with the same rungs and a budget of its own. */
  control: z.boolean().default(false),
  /** Where a trial finds what it left at its last rung: then a rung costs what is new in it alone. */
  previous: z.string().optional(),
};

/** What decides which trials a search makes. `searchSpec` reads it and tells contradictions. */
export interface SearchSpec
  extends Readonly<Omit<z.infer<z.ZodObject<typeof searchShape>>, 'previous' | 'stop_at'>> {
  readonly previous?: string | undefined;
  readonly stop_at?: number | undefined;
}

/** Who proposed a trial: the strategy, or the random search beside it. */
export type Arm = 'main' | 'control';

/** How a trial ended at a rung: its value, or the reason why it has none. `seconds` is how long it ran there. */
export interface RungResult {
  readonly resource: number;
  readonly value?: number;
  readonly failed?: string;
  readonly seconds?: number;
}

/** A set of parameters and what came of it, rung by rung in their order. Numbers count from 0 over both arms. */
export interface Trial {
  readonly number: number;
  readonly parameters: Parameters;
  readonly arm: Arm;
  readonly rungs: readonly RungResult[];
}

/** A run of a trial that has begun and has not ended. */
export interface Running {
  readonly trial: number;
  readonly resource: number;
}

/**
 * What a search does next. `new`: a trial with the next number starts with so much of the resource. `promote`: a trial
 * goes on to a higher rung. `wait`: nothing before a running trial ends, or there is no room. `done`: nothing any more.
 */
export type Step =
  | { readonly kind: 'new'; readonly arm: Arm; readonly parameters: Parameters; readonly resource: number }
  | { readonly kind: 'promote'; readonly trial: number; readonly resource: number }
  | { readonly kind: 'wait' }
  | { readonly kind: 'done'; readonly why: string };
