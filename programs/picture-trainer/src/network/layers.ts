import type { TensorFlow, TF } from '../engine.ts';
import type { Genome, GenomeLayer } from '../genome/genome.ts';
import { genomeShapes, type Shape, sizeOf } from '../genome/shapes.ts';
import { type Random, randomOf } from '../random.ts';
import { activate } from './activations.ts';

/** Where a training stands: what is drawn at random in a step depends on this alone. */
export interface Moment {
  readonly seed: number;
  readonly epoch: number;
  readonly batch: number;
}

/** One tensor of a network's weights. */
export interface WeightSpec {
  /** The name of its layer in Keras, such as `conv2d_1`. */
  readonly layer: string;
  readonly name: 'kernel' | 'bias';
  readonly shape: readonly number[];
}

/** A layer as it is computed. */
export interface BuiltLayer {
  /** Its name in Keras. */
  readonly name: string;
  readonly weights: readonly WeightSpec[];
  /** From the output of the layer before. `moment` is there while the network is trained. */
  apply(tf: TensorFlow, x: TF.Tensor, weights: readonly TF.Tensor[], moment: Moment | undefined): TF.Tensor;
}

/**
 * The layers of a genome, and the dense layer of its output, which makes logits: its softmax belongs to the loss.
 *
 * @throws Refusal where the network cannot be built.
 */
export function buildLayers(genome: Genome): readonly BuiltLayer[] {
  const shapes = genomeShapes(genome);
  const names = new Map<string, number>();
  const named = (type: string) => {
    const count = names.get(type) ?? 0;
    names.set(type, count + 1);
    return count === 0 ? type : `${type}_${count}`;
  };
  const built = genome.layers.map((layer, index) =>
    buildLayer(layer, shapes[index] ?? [0], { name: named(layer.type), index }),
  );
  const last = shapes.at(-1) ?? [0];
  const output = { type: 'dense', size: genome.output_size, activation: 'linear' } as const;
  return [...built, buildLayer(output, last, { name: named('dense'), index: built.length })];
}

interface Place {
  readonly name: string;
  /** Among the layers of the genome. */
  readonly index: number;
}

function buildLayer(layer: GenomeLayer, before: Shape, place: Place): BuiltLayer {
  switch (layer.type) {
    case 'dense':
      return dense(layer, before, place.name);
    case 'conv2d':
      return convolution(layer, before, place.name);
    case 'flatten':
      return { name: place.name, weights: [], apply: (tf, x) => flat(tf, x) };
    case 'dropout':
      return {
        ...{ name: place.name, weights: [] },
        apply: (tf, x, _, moment) =>
          moment === undefined || layer.rate === 0
            ? x
            : tf.mul(x, dropMask(tf, x.shape, layer.rate, randomAt(moment, place.index))),
      };
    default:
      return pooling(layer, place.name);
  }
}

type LayerOf<Type extends GenomeLayer['type']> = Extract<GenomeLayer, { type: Type }>;

function dense({ size, activation }: LayerOf<'dense'>, before: Shape, name: string): BuiltLayer {
  return {
    name,
    weights: kernelAndBias(name, [sizeOf(before), size]),
    apply: (tf, x, [kernel, bias]) => {
      if (kernel === undefined || bias === undefined) throw new Error(`${name} has no weights.`);
      const y = tf.add(tf.matMul(flat(tf, x), kernel as TF.Tensor2D), bias);
      return activate(tf, activation, y);
    },
  };
}

function convolution(layer: LayerOf<'conv2d'>, before: Shape, name: string): BuiltLayer {
  const [width = 1, height = 1, channels = 1] = before;
  const kernelSize = swapped(layer.kernel_size);
  const strides = swapped(layer.strides);
  // The backend wasm computes "same" wrongly where a kernel is smaller than its stride: what it pads is padded here.
  const isPadded = layer.padding === 'same' && kernelSize.some((size, axis) => size < (strides[axis] ?? 1));
  const sides = [height, width].map((size, axis) => edges(size, kernelSize[axis] ?? 1, strides[axis] ?? 1));
  return {
    name,
    weights: kernelAndBias(name, [...kernelSize, channels, layer.filters]),
    apply: (tf, x, [kernel, bias]) => {
      if (kernel === undefined || bias === undefined) throw new Error(`${name} has no weights.`);
      const input = (isPadded ? tf.pad(x, [[0, 0], ...sides, [0, 0]]) : x) as TF.Tensor4D;
      const pad = isPadded ? 'valid' : layer.padding;
      const y = tf.add(tf.conv2d(input, kernel as TF.Tensor4D, strides, pad), bias);
      return activate(tf, layer.activation, y);
    },
  };
}

function pooling(layer: LayerOf<'max_pooling2d' | 'average_pooling2d'>, name: string): BuiltLayer {
  const [size, strides] = [swapped(layer.pool_size), swapped(layer.strides)];
  return {
    ...{ name, weights: [] },
    apply: (tf, x) =>
      layer.type === 'max_pooling2d'
        ? tf.maxPool(x as TF.Tensor4D, size, strides, layer.padding)
        : tf.avgPool(x as TF.Tensor4D, size, strides, layer.padding),
  };
}

function kernelAndBias(layer: string, shape: readonly number[]): readonly WeightSpec[] {
  return [
    { layer, name: 'kernel', shape },
    { layer, name: 'bias', shape: [shape.at(-1) ?? 0] },
  ];
}

/** Genomes have (across, down), TensorFlow (down, across). */
function swapped([across, down]: readonly [number, number]): [number, number] {
  return [down, across];
}

/** What "same" adds before and behind a side of `size`. */
function edges(size: number, window: number, stride: number): [number, number] {
  const all = Math.max((Math.ceil(size / stride) - 1) * stride + window - size, 0);
  return [Math.floor(all / 2), Math.ceil(all / 2)];
}

function flat(tf: TensorFlow, x: TF.Tensor): TF.Tensor2D {
  const [pictures = 0] = x.shape;
  return tf.reshape(x, [pictures, x.size / Math.max(pictures, 1)]);
}

function randomAt({ seed, epoch, batch }: Moment, layer: number): Random {
  return randomOf(seed, epoch, batch, layer);
}

/** 0 for what is dropped; what stays is made larger, so that the sum is the same on average. */
function dropMask(tf: TensorFlow, shape: readonly number[], rate: number, random: Random): TF.Tensor {
  const size = shape.reduce((product, side) => product * side, 1);
  const [kept, limit] = [1 / (1 - rate), rate * 2 ** 32];
  const mask = new Float32Array(size);
  for (let index = 0; index < size; index += 1) mask[index] = random.word() < limit ? 0 : kept;
  return tf.tensor(mask, [...shape]);
}
