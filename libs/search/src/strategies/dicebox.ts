import { isBetter, lastResult } from '../best.ts';
import { type Random, randomOf } from '../random.ts';
import { drawParameters } from '../space/draw.ts';
import type { Parameters } from '../space/space.ts';
import { cross, mutateByChance } from '../space/vary.ts';
import type { SearchSpec, Strategy, Trial } from '../spec.ts';
import { keyOf, type Proposer } from './proposal.ts';

type Settings = Extract<Strategy, { name: 'dicebox' }>;

/**
 * The selection of the original dicebox, with a seed. A generation is ranked; the best `retain` of it are kept, and of the
 * rest each with a probability of `random_select`. Of those kept some are mutated (`mutate_chance`), and children of two of
 * them fill up the generation. A member that a trial has already is that trial. The next generation waits for the whole of
 * the one before.
 */
export function dicebox(spec: SearchSpec, settings: Settings): Proposer {
  return (own) => {
    const known = new Map(own.map((trial) => [keyOf(trial.parameters), trial]));
    let members = firstGeneration(spec, settings);
    for (let generation = 1; ; generation += 1) {
      const missing = members.find((member) => !known.has(keyOf(member)));
      if (missing !== undefined) return { kind: 'try', parameters: missing };
      const trials = members.flatMap((member) => known.get(keyOf(member)) ?? []);
      if (trials.some(({ rungs }) => rungs.length === 0)) return { kind: 'wait' };
      if (generation >= settings.generations) {
        return { kind: 'done', why: `all ${settings.generations} generations were made` };
      }
      members = nextGeneration(spec, settings, trials, randomOf('dicebox', spec.seed, generation));
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
  const generations: Trial[][] = [];
  let members = firstGeneration(spec, settings);
  while (generations.length < settings.generations) {
    const trials = members.flatMap((member) => known.get(keyOf(member)) ?? []);
    if (trials.length < members.length || trials.some(({ rungs }) => rungs.length === 0)) return generations;
    generations.push(trials);
    members = nextGeneration(spec, settings, trials, randomOf('dicebox', spec.seed, generations.length));
  }
  return generations;
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
