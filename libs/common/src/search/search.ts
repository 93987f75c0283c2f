import * as z from 'zod';
import { MOST_OWNER_CHARACTERS } from '../bounds.ts';
import { timestamp } from '../contract/service.ts';
import { MOST_IN_JOB } from '../job/bounds.ts';
import { inputPath } from '../job/places.ts';
import { uuid } from '../uuid.ts';

/** The bounds of a search. */
export const MOST_IN_SEARCH = {
  /** Of the whole body, in bytes. */
  bytes: MOST_IN_JOB.bytes,
  /** Trials of one arm. */
  trials: 2500,
  parallel: 64,
  rungs: 10,
  /** Searches of one owner that run at once. */
  running: 50,
} as const;

/** In which states a search can be; `failed`: it could not go on, and says why. */
export const SEARCH_STATUSES = ['running', 'done', 'failed', 'cancelled'] as const;

/** See {@link SEARCH_STATUSES}. */
export type SearchStatus = (typeof SEARCH_STATUSES)[number];

/** Of a search: what it proposes itself, or the random arm beside it. */
export const SEARCH_ARMS = ['main', 'control'] as const;

/** See {@link SEARCH_ARMS}. */
export type SearchArm = (typeof SEARCH_ARMS)[number];

/** Which line of metrics is the result of a trial. */
export const METRIC_TAKES = ['last', 'best', 'rung'] as const;

const member = z.string().min(1).max(200);

/** What a search makes as large, or as small, as it can. */
export const objective = z
  .strictObject({
    goal: z.enum(['maximize', 'minimize']),
    /** A number in the lines of `/outputs/metrics.jsonl` of a job. */
    metric: member.optional(),
    /**
     * Of which line: the last that has it, the best, or the last whose `step` is no more than the resource of the rung. The
     * last where absent.
     */
    take: z.enum(METRIC_TAKES).optional(),
    /** The number in those lines that counts what a rung gives, such as `epoch`. */
    step: member.optional(),
    /** A number in `/outputs/score.json` of a job. Of a training neither is said: its score is what counts. */
    score: member.optional(),
  })
  .refine(({ metric, score }) => metric === undefined || score === undefined, {
    path: ['score'],
    message: 'should stand without metric: a trial has one result',
  })
  .refine(({ metric, take, step }) => metric !== undefined || (take ?? step) === undefined, {
    path: ['metric'],
    message: 'should be there where take or step is',
  })
  .refine(({ take, step }) => (take === 'rung') === (step !== undefined), {
    path: ['step'],
    message: 'should be the name of what counts, such as epoch, with take "rung", and absent without',
  });

/** See {@link objective}. */
export type Objective = z.infer<typeof objective>;

const budget = z
  .strictObject({
    /** How many trials of each arm. */
    trials: z.int().min(1).max(MOST_IN_SEARCH.trials).optional(),
    /** How long all trials of an arm run together. */
    seconds: z.number().positive().optional(),
    /** How much of what rungs count, such as epochs, all trials of an arm get together. */
    resource: z.number().positive().optional(),
  })
  .refine(({ trials, seconds, resource }) => [trials, seconds, resource].some((one) => one !== undefined), {
    message: 'should have trials, seconds or resource: a search has to end',
  });

const rungs = z
  .array(z.int().min(1).max(1_000_000))
  .min(1)
  .max(MOST_IN_SEARCH.rungs)
  .refine(
    (all) => all.every((one, at) => at === 0 || one > (all[at - 1] ?? 0)),
    'should grow from each to the next',
  );

/** A JSON object that others look at. */
const object = z.record(z.string(), z.json());

/**
 * A search: orders that differ in their parameters alone, the next of which are chosen by how the earlier ones came out. What
 * a space and a strategy may be is told in docs/search.md.
 */
export const search = z
  .strictObject({
    uuid,
    name: z.string().min(1).max(200).optional(),
    /** On whose share, and by whose rights, its orders are run: the caller's where absent. */
    owner: z.string().min(1).max(MOST_OWNER_CHARACTERS).optional(),
    space: object,
    /** By its name, with its own settings; `aging-evolution` where absent. */
    strategy: z.looseObject({ name: z.string() }).optional(),
    seed: z.int().min(0),
    objective,
    budget,
    /** It ends as soon as a trial is as good as this; what still runs is cancelled. */
    stop_at: z.number().optional(),
    /** How many of its orders are open at once: with 1, the same seed gives the same trials in the same order. */
    parallel: z.int().min(1).max(MOST_IN_SEARCH.parallel),
    /** Random trials of the same budget beside, to compare with. */
    control: z.boolean().optional(),
    /** How much of the resource a trial gets from rung to rung, such as 1, 3 and 9 epochs; 1 alone where absent. */
    rungs: rungs.default([1]),
    /** Parameters that are tried before all others, such as the best of an earlier search. */
    start: z.array(object).max(1000).optional(),
    /** A job, as `/v1/jobs` takes it, without `uuid`, `output`, `owner`, `group` and `callback`. */
    job: object.optional(),
    /** In its place a training, as `/learn` takes it, without `uuid`, `model_end`, `owner` and `group`. */
    learn: object.optional(),
    /** The file with the parameters that an order is given. */
    parameters: z.strictObject({
      /** Where a job finds it; a training finds it as `/data/parameters.json`, and says none. */
      path: inputPath.optional(),
      /** An object that they are put into, below `at`, or beside its other members where that is absent. */
      template: object.optional(),
      at: member.optional(),
    }),
    /** By what an order is told what its rung gives it: a member of that file, a variable of a job, or both. */
    resource: z.strictObject({ member: member.optional(), env: member.optional() }).optional(),
    /** Where a job finds the output of the same trial at the rung before. */
    previous: inputPath.optional(),
  })
  .refine(({ job, learn }) => (job === undefined) !== (learn === undefined), {
    path: ['job'],
    message: 'should be there, or else learn: what a trial runs',
  })
  .refine(({ job, parameters }) => (job === undefined) === (parameters.path === undefined), {
    path: ['parameters', 'path'],
    message: 'should be there for jobs, and absent for trainings',
  })
  .refine(
    ({ job, objective }) => (job === undefined) === ((objective.metric ?? objective.score) === undefined),
    {
      path: ['objective'],
      message: 'should have metric or score for jobs, and neither for trainings',
    },
  )
  .refine(
    ({ learn, previous, resource }) => learn === undefined || (previous ?? resource?.env) === undefined,
    {
      path: ['previous'],
      message: 'should be absent for trainings, as resource.env should',
    },
  );

/** See {@link search}. */
export type Search = z.output<typeof search>;

const parameters = z.record(z.string(), z.json());
const arm = z.enum(SEARCH_ARMS);

/** A trial that is better than all others of its arm. */
const bestTrial = z.object({
  trial: z.int(),
  value: z.number(),
  /** What it had been given at that rung. */
  resource: z.number(),
  parameters,
  order: z.string(),
  /** What the order made on storage. */
  output: z.string().optional(),
});

/** See {@link bestTrial}. */
export type BestTrial = z.infer<typeof bestTrial>;

/** A search as a list shows it. */
export const searchSummary = z.object({
  uuid: z.string(),
  name: z.string().optional(),
  owner: z.string(),
  /** The group that its orders are in. */
  group: z.string(),
  status: z.enum(SEARCH_STATUSES),
  /** Why it has ended, in one sentence. */
  why: z.string().optional(),
  strategy: z.string(),
  goal: z.enum(['maximize', 'minimize']),
  /** How many trials it has begun itself, without those of the random arm. */
  trials: z.int(),
  /** How many orders it has placed, and how many of them have ended. */
  orders: z.int(),
  ended: z.int(),
  /** Its best trial; absent where none has a result. */
  best: bestTrial.optional(),
  created_at: timestamp,
  ended_at: timestamp.optional(),
});

/** See {@link searchSummary}. */
export type SearchSummary = z.infer<typeof searchSummary>;

/** How the trials of an arm stand at a rung. */
export const rungView = z.object({
  arm,
  resource: z.number(),
  running: z.int(),
  done: z.int(),
  failed: z.int(),
  /** The best result. */
  best: z.number().optional(),
});

/** See {@link rungView}. */
export type RungView = z.infer<typeof rungView>;

/** A search with its arms. */
export const searchView = searchSummary.extend({
  seed: z.int(),
  budget: z.object({
    trials: z.int().optional(),
    seconds: z.number().optional(),
    resource: z.number().optional(),
  }),
  stop_at: z.number().optional(),
  parallel: z.int(),
  /** What it has used of the resource, itself. */
  used: z.number(),
  rungs: z.array(rungView),
  /** Its open orders. */
  running: z.array(
    z.object({ trial: z.int(), arm, resource: z.number(), order: z.string(), placed_at: timestamp }),
  ),
  /** The random arm: how many trials it has begun, what it has used, and the best of them. */
  control: z.object({ trials: z.int(), used: z.number(), best: bestTrial.optional() }).optional(),
});

/** See {@link searchView}. */
export type SearchView = z.infer<typeof searchView>;

/** What came of an order of a trial. */
export const runView = z.object({
  resource: z.number(),
  order: z.string(),
  /** Absent while its order is open. */
  value: z.number().optional(),
  /** Why it has no result. */
  failed: z.string().optional(),
  /** The place of its result among those of the search, from 1. */
  result: z.int().optional(),
  /** How long it ran. */
  seconds: z.number().optional(),
});

/** A trial: its parameters, and what came of it at each rung. */
export const trialView = z.object({ trial: z.int(), arm, parameters, rungs: z.array(runView) });

/** See {@link trialView}. */
export type TrialView = z.infer<typeof trialView>;

/** News of a search: results in the order in which it heard of them, and how it stands since. */
export const searchEvent = z.object({
  search: searchView,
  /** Those that are new to who watches: a trial with this one of its rungs alone. */
  results: z.array(trialView),
  /** True in the last event. */
  ended: z.boolean(),
});

/** See {@link searchEvent}. */
export type SearchEvent = z.infer<typeof searchEvent>;
