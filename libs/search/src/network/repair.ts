import { type Genome, type Layer, type Shape, shapeAfter } from '../genome.ts';
import type { Random } from '../random.ts';
import { drawLayer, inputOf } from './draw.ts';
import type { NetworkRanges } from './ranges.ts';
import { fitted } from './weights.ts';

/**
 * The network nearest to `network` that can be built and lies within the ranges: windows shrink to what they look at,
 * layers that look at pictures are left out where there are none any more, what lacks is drawn, and what has too many
 * weights is halved. Undefined where it has too many all the same.
 */
export function repaired(ranges: NetworkRanges, network: Genome, random: Random): Genome | undefined {
  const layers: Layer[] = [];
  let shape = inputOf(ranges);
  const add = (layer: Layer) => {
    layers.push(layer);
    shape = shapeAfter(layer, shape);
  };
  for (const layer of network.layers.slice(0, ranges.max_layers)) {
    const usable = within(layer, shape);
    if (usable !== undefined) add(usable);
  }
  while (layers.length < ranges.min_layers) add(drawLayer(ranges, shape, random));
  return fitted(ranges, { ...network, layers });
}

/** The layer as it can stand where `shape` comes in, or undefined where it cannot. */
function within(layer: Layer, shape: Shape): Layer | undefined {
  if (layer.type !== 'conv2d' && layer.type !== 'max_pooling2d' && layer.type !== 'average_pooling2d')
    return layer;
  if (shape.length === 1) return undefined;
  const bounded = (window: readonly [number, number]): [number, number] => [
    Math.min(window[0], shape[0]),
    Math.min(window[1], shape[1]),
  ];
  if (layer.type === 'conv2d') return { ...layer, kernel_size: bounded(layer.kernel_size) };
  return { ...layer, pool_size: bounded(layer.pool_size), strides: bounded(layer.strides) };
}
