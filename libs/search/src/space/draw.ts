import type { Json } from '../canonical.ts';
import { drawNetwork } from '../network/draw.ts';
import type { Random } from '../random.ts';
import { activeIn, namesInOrder } from './conditions.ts';
import type { Parameter, Parameters, SearchSpace } from './space.ts';

/** Values of all parameters of a space, each drawn by itself; a parameter whose `when` does not hold is left out. */
export function drawParameters(space: SearchSpace, random: Random): Parameters {
  return completed(space, {}, random);
}

/** The values that `some` has, where the space has them at all, and drawn ones for the parameters that it lacks. */
export function completed(space: SearchSpace, some: Parameters, random: Random): Parameters {
  const values: Record<string, Json> = {};
  for (const name of namesInOrder(space)) {
    const parameter = space[name];
    if (parameter === undefined || !activeIn(parameter, values)) continue;
    const given = some[name];
    // One of the choices may be null.
    values[name] = given === undefined ? drawValue(parameter, random) : given;
  }
  return values;
}

/** A value of a parameter. */
export function drawValue(parameter: Parameter, random: Random): Json {
  switch (parameter.kind) {
    case 'bool':
      return random.chance(0.5);
    case 'choice':
      return random.pick(parameter.choices);
    case 'network':
      return drawNetwork(parameter, random);
    default:
      return valueAt(parameter, random.next());
  }
}

/**
 * The value at `place` of a parameter's range, from 0 to 1: on a logarithmic scale where it says so, and of values with a
 * `step` the one whose equal share of the range that is.
 */
export function valueAt(parameter: NumericParameter, place: number): number {
  const { kind, low, high, log, step } = parameter;
  const within = Math.min(Math.max(place, 0), 1 - Number.EPSILON);
  const unit = step ?? (kind === 'int' ? 1 : undefined);
  if (unit === undefined) {
    const value = log ? low * (high / low) ** within : low + (high - low) * within;
    return rounded(Math.min(Math.max(value, low), high));
  }
  const last = Math.floor(rounded((high - low) / unit));
  // Half a step to each side, so that the ends are as likely as what lies between them.
  const [from, to] = [low - unit / 2, low + (last + 0.5) * unit];
  const least = log ? Math.max(from, low / 2) : from;
  const value = log ? least * (to / least) ** within : from + (to - from) * within;
  const steps = Math.min(Math.max(Math.round((value - low) / unit), 0), last);
  return rounded(low + steps * unit);
}

/** A parameter whose values are numbers. */
export type NumericParameter = Extract<Parameter, { kind: 'float' | 'int' }>;

/** Twelve digits: sums and powers of a machine differ behind them, and equal trials have equal texts. */
function rounded(value: number): number {
  return Number(value.toPrecision(12));
}
