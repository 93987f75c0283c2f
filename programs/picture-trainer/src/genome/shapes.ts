import { Refusal } from '../refusal.ts';
import type { Genome, GenomeLayer } from './genome.ts';

/** What flows between two layers: width, height and channels of a picture, or the length of a flat row. */
export type Shape = readonly [number, number, number] | readonly [number];

/** More would not fit into what a step may use by any worker's defaults. */
const MOST_PARAMETERS = 100_000_000;
const MOST_VALUES = 16_777_216;

/**
 * The shape of what goes into each layer, and at last into the output. A dense layer and the output flatten what they
 * are given.
 *
 * @throws Refusal where a layer cannot be built on what is before it, or the network is too large.
 */
export function genomeShapes(genome: Genome): readonly Shape[] {
  const { input_shape: input, layers } = genome;
  const shapes: Shape[] = [typeof input === 'number' ? [input] : input];
  for (const [index, layer] of layers.entries()) {
    const before = shapes.at(-1) ?? [0];
    const shape = shapeAfter(layer, before, `layer ${index + 1} (${layer.type})`);
    if (sizeOf(shape) > MOST_VALUES)
      throw new Refusal(
        `The network cannot be built: layer ${index + 1} (${layer.type}) makes ${sizeOf(shape)} values of each picture, more than ${MOST_VALUES}.`,
      );
    shapes.push(shape);
  }
  const parameters = parametersOf(genome, shapes);
  if (parameters > MOST_PARAMETERS)
    throw new Refusal(
      `The network cannot be built: it has ${parameters} parameters, more than ${MOST_PARAMETERS}.`,
    );
  return shapes;
}

/** How many values a shape has. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

function shapeAfter(layer: GenomeLayer, before: Shape, where: string): Shape {
  switch (layer.type) {
    case 'dropout':
      return before;
    case 'flatten':
      return [sizeOf(before)];
    case 'dense':
      return [layer.size];
    default:
      return windowed(layer, before, where);
  }
}

type Windowed = Extract<GenomeLayer, { strides: unknown }>;

function windowed(layer: Windowed, before: Shape, where: string): Shape {
  if (before.length === 1)
    throw new Refusal(
      `The network cannot be built: ${where} needs pictures, but what comes before it makes flat rows.`,
    );
  const [width, height, channels] = before;
  const isConvolution = layer.type === 'conv2d';
  const window = isConvolution ? layer.kernel_size : layer.pool_size;
  const across = placesAlong(width, window[0], layer.strides[0], layer.padding);
  const down = placesAlong(height, window[1], layer.strides[1], layer.padding);
  if (across < 1 || down < 1)
    throw new Refusal(
      `The network cannot be built: ${where} has a ${isConvolution ? 'kernel' : 'window'} of ${window.join(' × ')}, larger than its input of ${width} × ${height}.`,
    );
  return [across, down, isConvolution ? layer.filters : channels];
}

function placesAlong(size: number, window: number, stride: number, padding: 'valid' | 'same'): number {
  return padding === 'same' ? Math.ceil(size / stride) : Math.floor((size - window) / stride) + 1;
}

function parametersOf({ layers, output_size }: Genome, shapes: readonly Shape[]): number {
  const inLayers = layers.map((layer, index) => {
    const before = shapes[index] ?? [0];
    if (layer.type === 'dense') return (sizeOf(before) + 1) * layer.size;
    if (layer.type !== 'conv2d') return 0;
    const [across, down] = layer.kernel_size;
    return (across * down * (before[2] ?? 1) + 1) * layer.filters;
  });
  const output = (sizeOf(shapes.at(-1) ?? [0]) + 1) * output_size;
  return inLayers.reduce((sum, parameters) => sum + parameters, output);
}
