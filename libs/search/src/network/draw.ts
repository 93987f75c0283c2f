import { type Genome, type LAYER_TYPES, type Layer, PADDINGS, type Shape, shapeAfter } from '../genome.ts';
import type { Random } from '../random.ts';
import type { NetworkRanges } from './ranges.ts';
import { fitted } from './weights.ts';

type LayerType = (typeof LAYER_TYPES)[number];

/** How often a network is drawn before it is said that the ranges allow none. */
const DRAWS = 100;

/** A network within the ranges, which can be built. Throws a `RangeError` where none has as few weights as it must. */
export function drawNetwork(ranges: NetworkRanges, random: Random): Genome {
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const network = fitted(ranges, drawnNetwork(ranges, random));
    if (network !== undefined) return network;
  }
  throw new RangeError(`no network of these ranges has at most ${ranges.max_parameters} weights`);
}

function drawnNetwork(ranges: NetworkRanges, random: Random): Genome {
  const count = between(ranges.min_layers, ranges.max_layers, random);
  const layers: Layer[] = [];
  let shape = inputOf(ranges);
  while (layers.length < count) {
    const layer = drawLayer(ranges, shape, random);
    layers.push(layer);
    shape = shapeAfter(layer, shape);
  }
  const { input_shape, output_size } = ranges;
  return { input_shape, output_size, optimizer: random.pick(ranges.optimizer), layers };
}

/** A layer within the ranges that `shape` can go into. */
export function drawLayer(ranges: NetworkRanges, shape: Shape, random: Random): Layer {
  const types = ranges.layer_types.filter((type) => fits(type, shape));
  // Where only pictures are looked at and none are left, what remains is to leave some of it out.
  return layerOf(types.length === 0 ? 'dropout' : random.pick(types), ranges, shape, random);
}

/** A layer of one type within the ranges; the type has to fit the shape. */
function layerOf(type: LayerType, ranges: NetworkRanges, shape: Shape, random: Random): Layer {
  switch (type) {
    case 'dense':
      return {
        type,
        size: spread(ranges.min_neurons, ranges.max_neurons, random),
        activation: random.pick(ranges.activation),
      };
    case 'dropout':
      return { type, rate: drawRate(ranges, random) };
    case 'conv2d':
      return drawConvolution(ranges, shape, random);
    default:
      return { ...drawPooling(ranges, shape, random), type };
  }
}

/** A layer that looks at pictures through windows of weights. */
export type Convolution = Extract<Layer, { type: 'conv2d' }>;
/** A layer that makes pictures smaller. */
export type Pooling = Extract<Layer, { type: 'max_pooling2d' | 'average_pooling2d' }>;

/** A convolution within the ranges, whose kernel fits into `shape`. As with the original, it moves by one place. */
export function drawConvolution(ranges: NetworkRanges, shape: Shape, random: Random): Convolution {
  const most = Math.min(ranges.max_kernel, shape[0], shape[1] ?? 1);
  const side = () => between(Math.min(ranges.min_kernel, most), most, random);
  return {
    type: 'conv2d',
    filters: spread(ranges.min_filters, ranges.max_filters, random),
    kernel_size: [side(), side()],
    strides: [1, 1],
    padding: random.pick(PADDINGS),
    activation: random.pick(ranges.activation),
  };
}

/** A pooling within the ranges, whose window fits into `shape`; windows lie beside one another. */
export function drawPooling(ranges: NetworkRanges, shape: Shape, random: Random): Pooling {
  const most = Math.min(ranges.max_pool, shape[0], shape[1] ?? 1);
  const side = between(Math.min(2, most), most, random);
  return { type: 'max_pooling2d', pool_size: [side, side], strides: [side, side], padding: 'valid' };
}

/** A rate of dropout within the ranges, in hundredths. */
export function drawRate({ max_dropout }: NetworkRanges, random: Random): number {
  return random.below(Math.floor(max_dropout * 100) + 1) / 100;
}

/** A whole number from `low` to `high`, each as likely. */
export function between(low: number, high: number, random: Random): number {
  return low + random.below(Math.max(high - low, 0) + 1);
}

/** A whole number from `low` to `high`, of which each doubling is as likely: layers of 8 differ from 16 as 64 from 128. */
export function spread(low: number, high: number, random: Random): number {
  const value = Math.floor(low * ((high + 1) / low) ** random.next());
  return Math.min(Math.max(value, low), high);
}

/** What goes into the first layer. */
export function inputOf({ input_shape }: Pick<NetworkRanges, 'input_shape'>): Shape {
  return typeof input_shape === 'number' ? [input_shape] : input_shape;
}

/** Pooling halves a side at the least, so there must be two places to halve. */
function fits(type: LayerType, shape: Shape): boolean {
  if (type === 'dense' || type === 'dropout') return true;
  return shape.length === 3 && (type === 'conv2d' || Math.min(shape[0], shape[1]) >= 2);
}
