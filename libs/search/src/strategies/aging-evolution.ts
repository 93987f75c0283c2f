import { isBetter, lastResult } from '../best.ts';
import { drawn, type Random, randomOf } from '../random.ts';
import { drawParameters } from '../space/draw.ts';
import { mutateOne } from '../space/vary.ts';
import type { SearchSpec, Strategy, Trial } from '../spec.ts';
import { firstNew, firstOf, keysOf, type Proposer } from './proposal.ts';

/**
 * Aging evolution (Real et al. 2018, arXiv 1802.01548): of the youngest trials some are drawn, the best of these is the
 * parent, and the child differs from it in one place. What is old is forgotten, however good it was. Nobody waits for a
 * generation, so that workers of unequal speed are all busy.
 */
export function agingEvolution(
  spec: SearchSpec,
  settings: Extract<Strategy, { name: 'aging-evolution' }>,
): Proposer {
  return (own) => {
    const seen = keysOf(own);
    const given = firstOf(spec, seen);
    if (given !== undefined) return { kind: 'try', parameters: given };
    const isYoung = own.length < settings.population;
    const living = own.filter(({ rungs }) => rungs.length > 0).slice(-settings.population);
    return firstNew(
      seen,
      (attempt) => randomOf('aging-evolution', spec.seed, own.length, attempt),
      (random) => {
        const parent = isYoung ? undefined : parentOf(spec, living, settings.sample, random);
        return parent === undefined
          ? drawParameters(spec.space, random)
          : mutateOne(spec.space, parent.parameters, random);
      },
      // All children of those alive may have been tried, and others not.
      (random) => drawParameters(spec.space, random),
    );
  };
}

/** The best of some of them, unless all of these have failed. */
function parentOf(
  spec: SearchSpec,
  living: readonly Trial[],
  sample: number,
  random: Random,
): Trial | undefined {
  return drawn(random, living, sample)
    .filter((trial) => lastResult(trial)?.value !== undefined)
    .reduce<Trial | undefined>(
      (best, trial) => (best === undefined || isFitter(spec, trial, best) ? trial : best),
      undefined,
    );
}

/** Who has come to a higher rung was better than others at the one below; at the same rung, the value decides. */
function isFitter(spec: SearchSpec, one: Trial, other: Trial): boolean {
  const [mine, theirs] = [lastResult(one), lastResult(other)];
  if (mine?.value === undefined || theirs?.value === undefined) return mine?.value !== undefined;
  if (mine.resource !== theirs.resource) return mine.resource > theirs.resource;
  return isBetter(spec, mine.value, theirs.value);
}
