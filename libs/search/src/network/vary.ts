import { type Genome, type Layer, networkShapes, type Shape } from '../genome.ts';
import type { Random } from '../random.ts';
import {
  type Convolution,
  drawConvolution,
  drawLayer,
  drawPooling,
  drawRate,
  inputOf,
  spread,
} from './draw.ts';
import type { NetworkRanges } from './ranges.ts';
import { repaired } from './repair.ts';

/** A network that differs from the one given in one place, can be built, and lies within the ranges; or the one given. */
export function mutateNetwork(ranges: NetworkRanges, network: Genome, random: Random): Genome {
  const change = random.pick(changesOf(ranges, network));
  return repaired(ranges, change(ranges, network, random), random) ?? network;
}

/**
 * A network of which each gene (the optimizer, a layer, and where that stays, each of its attributes) is drawn anew with so
 * much probability, as the original mutates.
 */
export function mutateNetworkByChance(
  ranges: NetworkRanges,
  network: Genome,
  chance: number,
  random: Random,
): Genome {
  const optimizer = random.chance(chance) ? random.pick(ranges.optimizer) : network.optimizer;
  const shapes = networkShapes(network);
  const layers = network.layers.map((layer, index) => {
    const shape = shapes[index] ?? inputOf(ranges);
    if (random.chance(chance)) return drawLayer(ranges, shape, random);
    return redrawnAttributes(ranges, layer, shape, chance, random);
  });
  return repaired(ranges, { ...network, optimizer, layers }, random) ?? network;
}

/** A child whose optimizer, number of layers and each layer come from one parent, by the throw of a coin each. */
export function crossNetworks(ranges: NetworkRanges, mother: Genome, father: Genome, random: Random): Genome {
  const optimizer = random.chance(0.5) ? mother.optimizer : father.optimizer;
  const count = (random.chance(0.5) ? mother : father).layers.length;
  const layers = Array.from({ length: count }, (_, index): Layer[] => {
    const [first, second] = random.chance(0.5) ? [mother, father] : [father, mother];
    const layer = first.layers[index] ?? second.layers[index];
    return layer === undefined ? [] : [layer];
  }).flat();
  return repaired(ranges, { ...mother, optimizer, layers }, random) ?? mother;
}

type Change = (ranges: NetworkRanges, network: Genome, random: Random) => Genome;

/** The changes that are possible; those of layers count more than that of the optimizer, which has one gene alone. */
function changesOf(ranges: NetworkRanges, { layers }: Genome): readonly Change[] {
  const changes: Change[] = [withLayer(replaced)];
  if (layers.length > 0) changes.push(withLayer(altered), withLayer(altered), withLayer(altered));
  if (layers.length < ranges.max_layers) changes.push(inserted);
  if (layers.length > ranges.min_layers) changes.push(removed);
  if (ranges.optimizer.length > 1) changes.push(withOptimizer);
  return changes;
}

function withOptimizer(ranges: NetworkRanges, network: Genome, random: Random): Genome {
  const others = ranges.optimizer.filter((name) => name !== network.optimizer);
  return others.length === 0 ? network : { ...network, optimizer: random.pick(others) };
}

function inserted(ranges: NetworkRanges, network: Genome, random: Random): Genome {
  const at = random.below(network.layers.length + 1);
  const shape = networkShapes(network)[at] ?? inputOf(ranges);
  return { ...network, layers: network.layers.toSpliced(at, 0, drawLayer(ranges, shape, random)) };
}

function removed(_ranges: NetworkRanges, network: Genome, random: Random): Genome {
  return { ...network, layers: network.layers.toSpliced(random.below(network.layers.length), 1) };
}

type LayerChange = (ranges: NetworkRanges, layer: Layer, shape: Shape, random: Random) => Layer;

function withLayer(change: LayerChange): Change {
  return (ranges, network, random) => {
    const at = random.below(network.layers.length);
    const [layer, shape] = [network.layers[at], networkShapes(network)[at]];
    if (layer === undefined || shape === undefined) return inserted(ranges, network, random);
    return { ...network, layers: network.layers.with(at, change(ranges, layer, shape, random)) };
  };
}

function replaced(ranges: NetworkRanges, _layer: Layer, shape: Shape, random: Random): Layer {
  return drawLayer(ranges, shape, random);
}

/** One attribute of the layer, drawn anew; one with a size may become a little larger or smaller in place of that. */
function altered(ranges: NetworkRanges, layer: Layer, shape: Shape, random: Random): Layer {
  const [attribute, ...others] = attributesOf(layer);
  if (attribute === undefined) return drawLayer(ranges, shape, random);
  return redrawn(ranges, layer, random.pick([attribute, ...others]), shape, random);
}

function redrawnAttributes(
  ranges: NetworkRanges,
  layer: Layer,
  shape: Shape,
  chance: number,
  random: Random,
): Layer {
  return attributesOf(layer).reduce<Layer>(
    (current, attribute) =>
      random.chance(chance) ? redrawn(ranges, current, attribute, shape, random) : current,
    layer,
  );
}

type Attribute = 'size' | 'rate' | 'filters' | 'kernel_size' | 'padding' | 'activation' | 'pool_size';

const ATTRIBUTES: Readonly<Record<Layer['type'], readonly Attribute[]>> = {
  dense: ['size', 'activation'],
  dropout: ['rate'],
  conv2d: ['filters', 'kernel_size', 'padding', 'activation'],
  max_pooling2d: ['pool_size'],
  average_pooling2d: ['pool_size'],
  flatten: [],
};

function attributesOf(layer: Layer): readonly Attribute[] {
  return ATTRIBUTES[layer.type];
}

/** The layer with the attribute of another of its type. */
function redrawn(
  ranges: NetworkRanges,
  layer: Layer,
  attribute: Attribute,
  shape: Shape,
  random: Random,
): Layer {
  switch (layer.type) {
    case 'dense':
      return attribute === 'size'
        ? { ...layer, size: spread(ranges.min_neurons, ranges.max_neurons, random) }
        : { ...layer, activation: random.pick(ranges.activation) };
    case 'dropout':
      return { ...layer, rate: drawRate(ranges, random) };
    case 'flatten':
      return layer;
    case 'conv2d':
      return withAttribute(layer, attribute, drawConvolution(ranges, shape, random));
    default:
      return { ...drawPooling(ranges, shape, random), type: layer.type };
  }
}

function withAttribute(layer: Convolution, attribute: Attribute, other: Convolution): Convolution {
  switch (attribute) {
    case 'filters':
      return { ...layer, filters: other.filters };
    case 'kernel_size':
      return { ...layer, kernel_size: other.kernel_size };
    case 'padding':
      return { ...layer, padding: other.padding };
    default:
      return { ...layer, activation: other.activation };
  }
}
