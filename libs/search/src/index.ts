export { type Best, bestOf, isBetter, lastResult } from './best.ts';
export { canonicalJson, type Json, json } from './canonical.ts';
export { type Contradiction, contradictionsOf, searchSpec } from './check.ts';
export {
  ACTIVATIONS,
  type Genome,
  genome,
  LAYER_TYPES,
  type Layer,
  networkShapes,
  OPTIMIZERS,
  PADDINGS,
  type Shape,
  UnbuildableGenome,
} from './genome.ts';
export { type NetworkRanges, networkRanges } from './network/ranges.ts';
export { weightsOf } from './network/weights.ts';
export { nextSteps } from './next.ts';
export { type Member, population, populationsOf, writePopulation } from './population.ts';
export { type Random, randomOf } from './random.ts';
export { type Parameters, parameter, type SearchSpace, searchSpace } from './space/space.ts';
export {
  type Arm,
  budget,
  goal,
  type RungResult,
  type Running,
  type SearchSpec,
  type Step,
  type Strategy,
  searchShape,
  strategy,
  type Trial,
} from './spec.ts';
