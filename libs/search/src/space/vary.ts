import { byUnits, canonicalJson, type Json } from '../canonical.ts';
import { genome } from '../genome.ts';
import { crossNetworks, mutateNetwork, mutateNetworkByChance } from '../network/vary.ts';
import type { Random } from '../random.ts';
import { completed, drawValue, type NumericParameter, valueAt } from './draw.ts';
import type { Parameter, Parameters, SearchSpace } from './space.ts';

/** A small change of a number is a step of about so much of its range. */
const STEP = 0.15;

/** Parameters that differ from those given in one of them; what then is there or not by its `when` follows. */
export function mutateOne(space: SearchSpace, parameters: Parameters, random: Random): Parameters {
  const names = Object.keys(parameters)
    .filter((name) => space[name] !== undefined)
    .sort(byUnits);
  if (names.length === 0) return completed(space, parameters, random);
  const name = random.pick(names);
  const [parameter, value] = [space[name], parameters[name]];
  if (parameter === undefined || value === undefined) return parameters;
  return completed(space, { ...parameters, [name]: changed(parameter, value, random) }, random);
}

/** Parameters of which each gene (a parameter, or a gene of a network) is drawn anew with so much probability. */
export function mutateByChance(
  space: SearchSpace,
  parameters: Parameters,
  chance: number,
  random: Random,
): Parameters {
  const mutated: Record<string, Json> = {};
  for (const name of Object.keys(parameters).sort(byUnits)) {
    const [parameter, value] = [space[name], parameters[name]];
    if (parameter === undefined || value === undefined) continue;
    if (parameter.kind === 'network') {
      mutated[name] = mutateNetworkByChance(parameter, genome.parse(value), chance, random);
    } else {
      mutated[name] = random.chance(chance) ? drawValue(parameter, random) : value;
    }
  }
  return completed(space, mutated, random);
}

/** A child of two sets of parameters: each gene comes from one of them, by the throw of a coin. */
export function cross(
  space: SearchSpace,
  mother: Parameters,
  father: Parameters,
  random: Random,
): Parameters {
  const child: Record<string, Json> = {};
  for (const name of [...new Set([...Object.keys(mother), ...Object.keys(father)])].sort(byUnits)) {
    const [parameter, hers, his] = [space[name], mother[name], father[name]];
    if (parameter?.kind === 'network' && hers !== undefined && his !== undefined) {
      child[name] = crossNetworks(parameter, genome.parse(hers), genome.parse(his), random);
      continue;
    }
    const [first, second] = random.chance(0.5) ? [hers, his] : [his, hers];
    // One of the choices may be null.
    const gene = first === undefined ? second : first;
    if (gene !== undefined) child[name] = gene;
  }
  return completed(space, child, random);
}

function changed(parameter: Parameter, value: Json, random: Random): Json {
  switch (parameter.kind) {
    case 'bool':
      return value !== true;
    case 'choice': {
      const others = parameter.choices.filter((choice) => canonicalJson(choice) !== canonicalJson(value));
      return others.length === 0 ? value : random.pick(others);
    }
    case 'network':
      return mutateNetwork(parameter, genome.parse(value), random);
    default:
      return nearby(parameter, typeof value === 'number' ? value : parameter.low, random);
  }
}

/** Mostly a value close by, on the parameter's own scale; at times one from anywhere, so that nothing is out of reach. */
function nearby(parameter: NumericParameter, value: number, random: Random): number {
  const { low, high, log } = parameter;
  if (low === high) return low;
  if (random.chance(0.2)) return valueAt(parameter, random.next());
  const place = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const moved = valueAt(parameter, place + (random.next() + random.next() + random.next() - 1.5) * 2 * STEP);
  if (moved !== value || parameter.kind === 'float') return moved;
  const step = (parameter.step ?? 1) * (random.chance(0.5) ? 1 : -1);
  return value + step < low || value + step > high ? moved : value + step;
}
