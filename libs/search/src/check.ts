import * as z from 'zod';
import { canonicalJson, type Json } from './canonical.ts';
import { genome, networkShapes, UnbuildableGenome } from './genome.ts';
import { drawNetwork } from './network/draw.ts';
import type { NetworkRanges } from './network/ranges.ts';
import { randomOf } from './random.ts';
import { activeIn, namesInOrder } from './space/conditions.ts';
import { gridValues, MOST_COMBINATIONS } from './space/grid.ts';
import type { Parameter, Parameters, SearchSpace } from './space/space.ts';
import { type SearchSpec, searchShape } from './spec.ts';

/** What in a search's description contradicts what: where, as a path of zod, and in a sentence. */
export interface Contradiction {
  readonly path: (string | number)[];
  readonly message: string;
}

/** The members of a search's description that decide what is tried. Its messages name the path of what is wrong. */
export const searchSpec = z.object(searchShape).superRefine((spec, context) => {
  for (const { path, message } of contradictionsOf(spec)) {
    context.addIssue({ code: 'custom', path, message });
  }
});

/** What contradicts what in a search whose members fit their schemas, for descriptions that have more members. */
export function contradictionsOf(spec: SearchSpec): Contradiction[] {
  const inSpace = Object.entries(spec.space).flatMap(([name, parameter]) =>
    [...ofParameter(parameter), ...ofCondition(spec.space, name)].map(({ path, message }) => ({
      path: ['space', name, ...path],
      message,
    })),
  );
  const whole = [...ofStrategy(spec), ...ofRungs(spec)];
  if (Object.keys(spec.space).length === 0) {
    whole.push({ path: ['space'], message: 'should name one parameter at least' });
  }
  // What follows draws from the space, which a space that contradicts itself does not allow.
  return inSpace.length > 0 ? [...inSpace, ...whole] : [...whole, ...ofStart(spec)];
}

function ofParameter(parameter: Parameter): Contradiction[] {
  switch (parameter.kind) {
    case 'bool':
      return [];
    case 'choice':
      return keysOf(parameter.choices).size < parameter.choices.length
        ? [{ path: ['choices'], message: 'should name each choice once' }]
        : [];
    case 'network':
      return ofRanges(parameter);
    default:
      return ofNumbers(parameter);
  }
}

function ofNumbers({ low, high, log, step }: Extract<Parameter, { kind: 'float' | 'int' }>): Contradiction[] {
  const found: Contradiction[] = [];
  if (low > high) found.push({ path: ['low'], message: `should be at most "high": ${low} is above ${high}` });
  if (log && low <= 0) {
    found.push({ path: ['low'], message: `should be above 0 on a logarithmic scale, and not ${low}` });
  }
  if (!Number.isFinite(log && low > 0 ? high / low : high - low)) {
    found.push({ path: ['high'], message: `should be closer to "low": from ${low} to ${high} is too far` });
  }
  if (step !== undefined && low <= high && step > high - low && low !== high) {
    found.push({
      path: ['step'],
      message: `should fit between "low" and "high", which are ${high - low} apart`,
    });
  }
  return found;
}

const PAIRS = [
  ['min_layers', 'max_layers'],
  ['min_neurons', 'max_neurons'],
  ['min_filters', 'max_filters'],
  ['min_kernel', 'max_kernel'],
] as const;

function ofRanges(ranges: NetworkRanges): Contradiction[] {
  const found: Contradiction[] = PAIRS.filter(([low, high]) => ranges[low] > ranges[high]).map(
    ([low, high]) => ({
      path: [low],
      message: `should be at most "${high}": ${ranges[low]} is above ${ranges[high]}`,
    }),
  );
  const { input_shape, layer_types, min_kernel } = ranges;
  const flatOnes = layer_types.filter((type) => type !== 'dense' && type !== 'dropout');
  if (typeof input_shape === 'number' && flatOnes.length > 0) {
    const message = `should have no ${flatOnes.join(', ')}: "input_shape" is flat, and not [width, height, channels]`;
    found.push({ path: ['layer_types'], message });
  }
  if (flatOnes.length === layer_types.length && !layer_types.includes('conv2d')) {
    found.push({ path: ['layer_types'], message: 'should have more than poolings, which learn nothing' });
  }
  const side = typeof input_shape === 'number' ? undefined : Math.min(input_shape[0], input_shape[1]);
  if (side !== undefined && layer_types.includes('conv2d') && min_kernel > side) {
    found.push({ path: ['min_kernel'], message: `should be at most ${side}, the shorter side of a picture` });
  }
  return found.length > 0 ? found : ofWeights(ranges);
}

/** Whether some networks of the ranges have as few weights as they must. */
function ofWeights(ranges: NetworkRanges): Contradiction[] {
  try {
    drawNetwork(ranges, randomOf('check'));
    return [];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ path: ['max_parameters'], message: `is too small: ${error.message}` }];
  }
}

function ofCondition(space: SearchSpace, name: string): Contradiction[] {
  const conditions = Object.entries(space[name]?.when ?? {});
  const found = conditions.flatMap(([other, values]): Contradiction[] => {
    const parameter = space[other];
    if (parameter === undefined) {
      return [{ path: ['when', other], message: 'should be the name of another parameter' }];
    }
    const never = values.filter((value) => !mayBe(parameter, value));
    return never.length === 0
      ? []
      : [{ path: ['when', other], message: `${JSON.stringify(never[0])} is no value of "${other}"` }];
  });
  if (found.length === 0 && conditions.length > 0 && !namesInOrder(space).includes(name)) {
    return [{ path: ['when'], message: 'depends on itself, by way of other parameters' }];
  }
  return found;
}

/** Whether a parameter can have a value at all. */
function mayBe(parameter: Parameter, value: Json): boolean {
  switch (parameter.kind) {
    case 'bool':
      return typeof value === 'boolean';
    case 'choice':
      return keysOf(parameter.choices).has(canonicalJson(value));
    case 'network':
      return isNetworkOf(parameter, value);
    default:
      return (
        typeof value === 'number' &&
        value >= parameter.low &&
        value <= parameter.high &&
        (parameter.kind === 'float' || Number.isInteger(value))
      );
  }
}

/** The texts of choices, which conditions and beginnings ask for again and again. */
const keys = new WeakMap<readonly Json[], ReadonlySet<string>>();

function keysOf(choices: readonly Json[]): ReadonlySet<string> {
  const known = keys.get(choices) ?? new Set(choices.map(canonicalJson));
  keys.set(choices, known);
  return known;
}

/** Networks that are given may lie outside the ranges, but take the same pictures, and can be built. */
function isNetworkOf({ input_shape, output_size }: NetworkRanges, value: Json): boolean {
  const read = genome.safeParse(value);
  if (!read.success || read.data.output_size !== output_size) return false;
  if (canonicalJson(read.data.input_shape) !== canonicalJson(input_shape)) return false;
  try {
    networkShapes(read.data);
    return true;
  } catch (error) {
    if (error instanceof UnbuildableGenome) return false;
    throw error;
  }
}

function ofStrategy({ space, strategy, budget, rungs }: SearchSpec): Contradiction[] {
  const found: Contradiction[] = [];
  const isEndless = Object.values(budget).every((limit) => limit === undefined);
  if (isEndless && strategy.name !== 'grid' && strategy.name !== 'dicebox') {
    found.push({
      path: ['budget'],
      message: 'should have trials, seconds or resource: the search has no end',
    });
  }
  if (strategy.name === 'aging-evolution' && strategy.sample > strategy.population) {
    found.push({
      path: ['strategy', 'sample'],
      message: 'should be at most the population it is drawn from',
    });
  }
  if (strategy.name === 'dicebox' && rungs.length > 1) {
    found.push({ path: ['rungs'], message: 'should be one: generations of dicebox are ranked as a whole' });
  }
  if (strategy.name !== 'grid') return found;
  let size = 1;
  for (const [name, parameter] of Object.entries(space)) {
    const values = gridValues(parameter, strategy.points);
    if (values === undefined) {
      const message =
        parameter.kind === 'network'
          ? 'is a network, which has too many values for a grid'
          : 'has no end of values for a grid: give it a "step", or the strategy "points"';
      found.push({ path: ['space', name], message });
    }
    size *= values?.length ?? 1;
    // What is told does not depend on the others, of which each may have as many.
    if (size > MOST_COMBINATIONS) break;
  }
  if (size > MOST_COMBINATIONS) {
    found.push({
      path: ['space'],
      message: `has ${size} combinations or more for a grid, over ${MOST_COMBINATIONS}`,
    });
  }
  return found;
}

function ofRungs({ rungs, budget }: SearchSpec): Contradiction[] {
  const falling = rungs.findIndex((rung, index) => index > 0 && rung <= (rungs[index - 1] ?? 0));
  if (falling > 0) return [{ path: ['rungs', falling], message: 'should be more than the rung before' }];
  if (budget.resource !== undefined && budget.resource < (rungs[0] ?? 0)) {
    return [
      { path: ['budget', 'resource'], message: `should be ${rungs[0]} at least: the first rung takes it` },
    ];
  }
  return [];
}

function ofStart({ space, start }: SearchSpec): Contradiction[] {
  return start.flatMap((parameters, index) =>
    ofGiven(space, parameters).map(({ path, message }) => ({ path: ['start', index, ...path], message })),
  );
}

function ofGiven(space: SearchSpace, parameters: Parameters): Contradiction[] {
  const unknown = Object.keys(parameters).filter((name) => space[name] === undefined);
  const wrong = Object.entries(space).flatMap(([name, parameter]): Contradiction[] => {
    const value = parameters[name];
    const isThere = activeIn(parameter, parameters);
    if (value === undefined) return isThere ? [{ path: [name], message: 'is missing' }] : [];
    if (!isThere) return [{ path: [name], message: 'should be absent: its "when" does not hold' }];
    return mayBe(parameter, value) ? [] : [{ path: [name], message: 'is no value of this parameter' }];
  });
  return [...unknown.map((name) => ({ path: [name], message: 'is no parameter of the space' })), ...wrong];
}
