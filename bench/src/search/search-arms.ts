import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Api, type ComputeContract, type SearchView, search } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import { startPlatform } from '@morpheo/standalone';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { uploadAlgo } from '../overhead/programs.ts';
import { NETWORKS, networkJob, TRAINING } from './pictures.ts';

/** Chosen before the first search was run with them. */
const SEEDS = [101, 102, 103, 104, 105];
/** Epochs that each arm of a search has, and what a trial gets of them from rung to rung. */
const BUDGETS: Readonly<Record<BenchSize, number>> = { full: 60, quick: 24, tiny: 6 };
const RUNGS = [1, 3];
const PICTURES = { train: 10_000, test: 2000 };

/** How a search came out beside its random arm. */
interface Outcome {
  readonly seed: number;
  readonly search: number;
  readonly random: number;
  readonly trials: number;
  readonly minutes: number;
}

/**
 * Searches by `aging-evolution`, each beside a random arm of the same budget, and how much better their best trials are: of
 * networks on Fashion-MNIST, or, where it is only to be proven that it runs, of a polynomial.
 */
export async function searchArms({ folder, size, say }: BenchContext): Promise<Report> {
  const slots = { learn: 1, predict: 1, job: 2 };
  await using platform = await startPlatform({ folder: join(folder, 'home'), slots, log: silentLog });
  const what = size === 'tiny' ? await polynomials(platform) : await networks(platform);
  const budget = BUDGETS[size];
  const outcomes: Outcome[] = [];
  for (const seed of size === 'tiny' ? SEEDS.slice(0, 2) : SEEDS) {
    const view = await runSearch(platform.compute, { ...what, ...common(seed, budget) });
    const outcome = outcomeOf(view);
    say(`search-arms: seed ${seed}: ${outcome.search} beside ${outcome.random} of the random arm`);
    outcomes.push(outcome);
  }
  return reportOf(outcomes, budget, size);
}

function common(seed: number, budget: number) {
  return {
    ...{ uuid: randomUUID(), seed, control: true, parallel: 2, rungs: RUNGS, budget: { resource: budget } },
    // So small that it goes over from drawing to changing within the budget.
    strategy: { name: 'aging-evolution', population: 8, sample: 3 },
    resource: { member: 'epochs' },
  };
}

async function networks({ storage }: Awaited<ReturnType<typeof startPlatform>>) {
  return {
    space: { network: NETWORKS },
    objective: { goal: 'maximize', score: 'accuracy' },
    job: await networkJob(storage, PICTURES),
    parameters: { path: '/config/training.json', template: TRAINING },
    previous: '/start',
  };
}

async function polynomials({ storage }: Awaited<ReturnType<typeof startPlatform>>) {
  const example = fileURLToPath(new URL('../../../examples/search/', import.meta.url));
  return {
    space: {
      rate: { kind: 'float', low: 0.0001, high: 1, log: true },
      momentum: { kind: 'choice', choices: [0, 0.5, 0.9] },
      degree: { kind: 'int', low: 1, high: 9 },
    },
    objective: { goal: 'minimize', score: 'error' },
    job: {
      algo: await uploadAlgo(storage, example, ['Dockerfile', 'main.py']),
      command: ['/config/parameters.json'],
    },
    parameters: { path: '/config/parameters.json' },
  };
}

/** Runs a search to its end. Throws where it does not end well. */
async function runSearch(
  compute: Api<ComputeContract>,
  members: Readonly<Record<string, unknown>>,
): Promise<SearchView> {
  const body = search.parse(members);
  await compute.postSearch({ body });
  const params = { uuid: body.uuid };
  for await (const { data } of await compute.searchEvents({ params, headers: {} })) {
    if (data.ended && data.search.status === 'done') return data.search;
  }
  throw new Error(`The search ended so: ${JSON.stringify(await compute.getSearch({ params }))}`);
}

function outcomeOf(view: SearchView): Outcome {
  const { seed, best, control, trials, created_at, ended_at = created_at } = view;
  if (best === undefined || control?.best === undefined)
    throw new Error(`An arm of a search has no best trial: ${JSON.stringify(view)}`);
  const minutes = (Date.parse(ended_at) - Date.parse(created_at)) / 60_000;
  return { seed, search: best.value, random: control.best.value, trials, minutes };
}

/** Of Student's distribution, what 95 % of the means of so many values lie within, by their number. */
const WITHIN_95: Readonly<Record<number, number>> = { 2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776 };

/** The mean of values, and how far from it the mean may lie with 95 % confidence (Student's t). */
export function intervalOf(values: readonly number[]): { readonly mean: number; readonly within: number } {
  const n = values.length;
  const mean = values.reduce((sum, one) => sum + one, 0) / n;
  const variance = values.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (n - 1);
  return { mean, within: (WITHIN_95[n] ?? Number.NaN) * Math.sqrt(variance / n) };
}

function reportOf(outcomes: readonly Outcome[], budget: number, size: BenchSize): Report {
  // A smaller error is better.
  const sign = size === 'tiny' ? -1 : 1;
  const scale = size === 'tiny' ? 1 : 100;
  const differences = outcomes.map(({ search, random }) => scale * sign * (search - random));
  const { mean, within } = intervalOf(differences);
  const [low, high] = [mean - within, mean + within];
  const contains = low <= 0 && high >= 0 ? 'which contains 0' : 'which does not contain 0';
  return {
    name: 'search-arms',
    title: 'the best trial of a search beside that of its random arm, with the same budget',
    rows: outcomes.map(({ seed, search, random, trials, minutes }, at) => ({
      ...{ seed, search: digits(scale * search), random: digits(scale * random), trials },
      difference: digits(differences[at] ?? Number.NaN),
      minutes: Number(minutes.toFixed(2)),
    })),
    aims: [],
    notes: [
      size === 'tiny'
        ? 'Polynomials in the place of networks: it is only proven that it runs.'
        : `Networks on ${PICTURES.train} + ${PICTURES.test} pictures of Fashion-MNIST; the value is the accuracy on the second, in per cent, by which trials are chosen too, in both arms.`,
      `Each arm had ${budget} epochs, given at rungs of ${RUNGS.join(' and ')}; the seeds were fixed before the first run.`,
      `The mean difference is ${digits(mean)}, its interval of 95 % (Student, n = ${outcomes.length}) from ${digits(low)} to ${digits(high)}, ${contains}.`,
    ],
    bars: outcomes.flatMap(({ seed, search, random }) => [
      { label: `seed ${seed}: search`, value: search, unit: '', plain: false },
      { label: `seed ${seed}: random`, value: random, unit: '', plain: true },
    ]),
  };
}

function digits(value: number): number {
  return Number(value.toFixed(5));
}
