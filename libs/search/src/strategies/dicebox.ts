import { isBetter, lastResult } from '../best.ts';
import { type Random, randomOf } from '../random.ts';
import { drawParameters } from '../space/draw.ts';
import type { Parameters } from '../space/space.ts';
import { cross, mutateByChance } from '../space/vary.ts';
import type { SearchSpec, Strategy, Trial } from '../spec.ts';
import { keyOf, type Proposer } from './proposal.ts';

type Settings = Extract<Strategy, { name: 'dicebox' }>;

/** After so many generations in a row that have no new member, none is looked for any more. */
const IN_VAIN = 100;

/** The members of each generation, and the trials that they were bred of. */
type Bred = { readonly of: readonly Trial[]; readonly members: readonly Parameters[] }[];

/** A search asks for all its generations at each step: what comes of the same trials is the same. */
const generations = new WeakMap<SearchSpec, Bred>();

/**
 * The selection of the original dicebox, with a seed. A generation is ranked; the best `retain` of it are kept, and of the
 * rest each with a probability of `random_select`. Of those kept some are mutated (`mutate_chance`), and children of two of
 * them fill up the generation. A member that a trial has already is that trial. The next generation waits for the whole of
 * the one before.
 */
export function dicebox(spec: SearchSpec, settings: Settings): Proposer {
  return (own) => {
    const known = new Map(own.map((trial) => [keyOf(trial.parameters), trial]));
    const seen = new Set<string>();
    let inVain = 0;
    let members = generationOf(spec, settings, 0, []);
    for (let generation = 1; ; generation += 1) {
      const missing = members.find((member) => !known.has(keyOf(member)));
      if (missing !== undefined) return { kind: 'try', parameters: missing };
      const before = seen.size;
      for (const member of members) seen.add(keyOf(member));
      inVain = seen.size > before ? 0 : inVain + 1;
      if (inVain >= IN_VAIN) {
        return { kind: 'done', why: `all was tried: ${IN_VAIN} more generations had nothing new` };
      }
      const trials = members.flatMap((member) => known.get(keyOf(member)) ?? []);
      if (trials.some(({ rungs }) => rungs.length === 0)) return { kind: 'wait' };
      if (generation >= settings.generations) {
        return { kind: 'done', why: `all ${settings.generations} generations were made` };
      }
      members = generationOf(spec, settings, generation, trials);
    }
  };
}

/** The members of the generation that trials have come to, with their trials: what the original writes as a population. */
export function generationsOf(
  spec: SearchSpec,
  settings: Settings,
  own: readonly Trial[],
): readonly Trial[][] {
  const known = new Map(own.map((trial) => [keyOf(trial.parameters), trial]));
  const made: Trial[][] = [];
  let members = generationOf(spec, settings, 0, []);
  while (made.length < settings.generations) {
    const trials = members.flatMap((member) => known.get(keyOf(member)) ?? []);
    if (trials.length < members.length || trials.some(({ rungs }) => rungs.length === 0)) return made;
    made.push(trials);
    members = generationOf(spec, settings, made.length, trials);
  }
  return made;
}

/** The generation with a number, from 0, that comes of the trials of the one before. */
function generationOf(
  spec: SearchSpec,
  settings: Settings,
  number: number,
  trials: readonly Trial[],
): readonly Parameters[] {
  const all = generations.get(spec) ?? [];
  generations.set(spec, all);
  const known = all[number];
  if (known?.of.length === trials.length && known.of.every((one, at) => one === trials[at])) {
    return known.members;
  }
  const members =
    number === 0
      ? firstGeneration(spec, settings)
      : nextGeneration(spec, settings, trials, randomOf('dicebox', spec.seed, number));
  all[number] = { of: trials, members };
  return members;
}

function firstGeneration(spec: SearchSpec, { population }: Settings): readonly Parameters[] {
  const given = spec.start.slice(0, population);
  const random = randomOf('dicebox', spec.seed, 0);
  const rest = Array.from({ length: population - given.length }, () => drawParameters(spec.space, random));
  return [...given, ...rest];
}

function nextGeneration(
  spec: SearchSpec,
  settings: Settings,
  trials: readonly Trial[],
  random: Random,
): readonly Parameters[] {
  const ranked = trials.toSorted((one, other) => rank(spec, one, other)).map(({ parameters }) => parameters);
  const kept = Math.floor(ranked.length * settings.retain);
  const parents = ranked
    .filter((_, place) => place < kept || random.chance(settings.random_select))
    .map((parent) =>
      random.chance(settings.mutate_chance)
        ? mutateByChance(spec.space, parent, settings.mutate_chance, random)
        : parent,
    );
  const children = Array.from({ length: ranked.length - parents.length }, () =>
    childOf(spec, settings, parents, random),
  );
  return [...parents, ...children];
}

/** A child of two different parents; of one alone it is a mutant, and of none it is drawn. */
function childOf(
  spec: SearchSpec,
  { mutate_chance }: Settings,
  parents: readonly Parameters[],
  random: Random,
): Parameters {
  const at = random.below(Math.max(parents.length, 1));
  const mother = parents[at];
  if (mother === undefined) return drawParameters(spec.space, random);
  const others = parents.toSpliced(at, 1);
  if (others.length === 0) return mutateByChance(spec.space, mother, mutate_chance, random);
  return cross(spec.space, mother, random.pick(others), random);
}

/** The best first, those that have failed last, and of equal ones the older. */
function rank(spec: SearchSpec, one: Trial, other: Trial): number {
  const [mine, theirs] = [lastResult(one)?.value, lastResult(other)?.value];
  if (mine !== undefined && theirs !== undefined && mine !== theirs) {
    return isBetter(spec, mine, theirs) ? -1 : 1;
  }
  if ((mine === undefined) !== (theirs === undefined)) return mine === undefined ? 1 : -1;
  return one.number - other.number;
}
