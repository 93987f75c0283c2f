import type { Json } from '../canonical.ts';
import { activeIn, namesInOrder } from './conditions.ts';
import { type NumericParameter, valueAt } from './draw.ts';
import type { Parameter, Parameters, SearchSpace } from './space.ts';

/** A grid has at most so many combinations. */
export const MOST_COMBINATIONS = 100_000;

/**
 * Each combination of the values of a space's parameters once, those of the last name changing fastest. A parameter that
 * is not there under its `when` has no values then.
 */
export function* gridOf(space: SearchSpace, points: number | undefined): Generator<Parameters> {
  yield* combinations(space, namesInOrder(space), points, {});
}

function* combinations(
  space: SearchSpace,
  [name, ...rest]: readonly string[],
  points: number | undefined,
  values: Readonly<Record<string, Json>>,
): Generator<Parameters> {
  const parameter = name === undefined ? undefined : space[name];
  if (name === undefined || parameter === undefined) {
    yield values;
    return;
  }
  if (!activeIn(parameter, values)) {
    yield* combinations(space, rest, points, values);
    return;
  }
  for (const value of gridValues(parameter, points) ?? []) {
    yield* combinations(space, rest, points, { ...values, [name]: value });
  }
}

/** The values of a parameter in a grid, or undefined where they are not counted. */
export function gridValues(parameter: Parameter, points: number | undefined): readonly Json[] | undefined {
  switch (parameter.kind) {
    case 'bool':
      return [false, true];
    case 'choice':
      return parameter.choices;
    case 'network':
      return undefined;
    default:
      return numbers(parameter, points);
  }
}

function numbers(parameter: NumericParameter, points: number | undefined): readonly number[] | undefined {
  const unit = parameter.step ?? (parameter.kind === 'int' ? 1 : undefined);
  const all = unit === undefined ? undefined : Math.floor((parameter.high - parameter.low) / unit + 1e-9) + 1;
  const count = points === undefined ? all : Math.min(points, all ?? points);
  if (count === undefined || count > MOST_COMBINATIONS) return undefined;
  if (parameter.low === parameter.high) return [parameter.low];
  const places = Array.from({ length: count }, (_, index) => placeOf(index, count, unit !== undefined));
  return [...new Set(places.map((place) => valueAt(parameter, place)))];
}

/** Of steps, each has its share of the range; of a continuous range, the first and the last place are its ends. */
function placeOf(index: number, count: number, isStepped: boolean): number {
  return isStepped ? (index + 0.5) / count : count === 1 ? 0 : index / (count - 1);
}
