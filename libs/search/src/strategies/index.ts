import type { Arm, SearchSpec } from '../spec.ts';
import { agingEvolution } from './aging-evolution.ts';
import { dicebox } from './dicebox.ts';
import type { Proposer } from './proposal.ts';
import { grid, randomSearch } from './unguided.ts';

/** The strategy of an arm: beside the one that was asked for stands random search. */
export function proposerOf(spec: SearchSpec, arm: Arm): Proposer {
  if (arm === 'control') return randomSearch(spec, arm);
  const { strategy } = spec;
  switch (strategy.name) {
    case 'aging-evolution':
      return agingEvolution(spec, strategy);
    case 'dicebox':
      return dicebox(spec, strategy);
    case 'grid':
      return grid(spec, strategy);
    case 'random':
      return randomSearch(spec, arm);
  }
}
