import { type Genome, type Layer, networkShapes, sizeOf, UnbuildableGenome } from '../genome.ts';
import type { NetworkRanges } from './ranges.ts';

/** How many weights a network has, biases and its output included. Throws `UnbuildableGenome`. */
export function weightsOf(network: Genome): number {
  const shapes = networkShapes(network);
  const hidden = network.layers.map((layer, index) => {
    const shape = shapes[index] ?? [0];
    if (layer.type === 'dense') return (sizeOf(shape) + 1) * layer.size;
    if (layer.type !== 'conv2d') return 0;
    const [across, down] = layer.kernel_size;
    return (across * down * (shape[2] ?? 1) + 1) * layer.filters;
  });
  const output = (sizeOf(shapes.at(-1) ?? [0]) + 1) * network.output_size;
  return hidden.reduce((sum, weights) => sum + weights, output);
}

/** The network with at most as many weights as it may have: its widest layers are halved. Undefined where that is not enough. */
export function fitted(ranges: NetworkRanges, network: Genome): Genome | undefined {
  let current: Genome | undefined = network;
  while (current !== undefined && isTooHeavy(ranges, current)) current = halved(ranges, current);
  return current;
}

/** Too many weights, or too many values between two layers, of which narrower layers make fewer as well. */
function isTooHeavy({ max_parameters }: NetworkRanges, network: Genome): boolean {
  try {
    return weightsOf(network) > max_parameters;
  } catch (error) {
    if (error instanceof UnbuildableGenome) return true;
    throw error;
  }
}

/** With its widest dense layer, or its convolution of most filters, of half the size; undefined where all are at their least. */
function halved(ranges: NetworkRanges, network: Genome): Genome | undefined {
  const widths = network.layers.map((layer) => widthOf(layer) / leastOf(layer, ranges));
  const widest = Math.max(...widths);
  if (!(widest > 1)) return undefined;
  const at = widths.indexOf(widest);
  const layers = network.layers.map((layer, index) => (index === at ? narrowed(layer, ranges) : layer));
  return { ...network, layers };
}

function widthOf(layer: Layer): number {
  return layer.type === 'dense' ? layer.size : layer.type === 'conv2d' ? layer.filters : 0;
}

function leastOf(layer: Layer, ranges: NetworkRanges): number {
  return layer.type === 'dense' ? ranges.min_neurons : ranges.min_filters;
}

function narrowed(layer: Layer, ranges: NetworkRanges): Layer {
  if (layer.type === 'dense')
    return { ...layer, size: Math.max(Math.floor(layer.size / 2), ranges.min_neurons) };
  if (layer.type !== 'conv2d') return layer;
  return { ...layer, filters: Math.max(Math.floor(layer.filters / 2), ranges.min_filters) };
}
