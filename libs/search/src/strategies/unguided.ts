import { randomOf } from '../random.ts';
import { drawParameters } from '../space/draw.ts';
import { gridOf } from '../space/grid.ts';
import type { Arm, SearchSpec, Strategy } from '../spec.ts';
import { firstNew, firstOf, keyOf, keysOf, type Proposer } from './proposal.ts';

/** Random search (Bergstra and Bengio 2012): each trial is drawn by itself. The control arm begins with nothing given. */
export function randomSearch(spec: SearchSpec, arm: Arm): Proposer {
  return (own) => {
    const seen = keysOf(own);
    const given = arm === 'main' ? firstOf(spec, seen) : undefined;
    if (given !== undefined) return { kind: 'try', parameters: given };
    return firstNew(
      seen,
      (attempt) => randomOf('random', spec.seed, arm, own.length, attempt),
      (random) => drawParameters(spec.space, random),
    );
  };
}

/** A sweep: each combination of the parameters' values once, of which the last parameter changes fastest. */
export function grid(spec: SearchSpec, settings: Extract<Strategy, { name: 'grid' }>): Proposer {
  return (own) => {
    const seen = keysOf(own);
    const given = firstOf(spec, seen);
    if (given !== undefined) return { kind: 'try', parameters: given };
    let size = 0;
    for (const parameters of gridOf(spec.space, settings.points)) {
      if (!seen.has(keyOf(parameters))) return { kind: 'try', parameters };
      size += 1;
    }
    return { kind: 'done', why: `all ${size} combinations were tried` };
  };
}
