import * as z from 'zod';

/** The activation functions that a genome may name (wire format of dicebox, "network search files"). */
export const ACTIVATIONS = [
  'elu',
  'exponential',
  'hard_sigmoid',
  'linear',
  'relu',
  'selu',
  'sigmoid',
  'softmax',
  'softplus',
  'softsign',
  'swish',
  'tanh',
] as const;

/** The optimizers that a genome may name. */
export const OPTIMIZERS = [
  'adadelta',
  'adagrad',
  'adam',
  'adamax',
  'ftrl',
  'nadam',
  'rmsprop',
  'sgd',
] as const;

/** How the edges of a picture are treated: `valid` leaves out what a window does not fit, `same` fills up. */
export const PADDINGS = ['valid', 'same'] as const;

/** The kinds of layers as a search space names them. */
export const LAYER_TYPES = ['dense', 'dropout', 'conv2d', 'max_pooling2d', 'average_pooling2d'] as const;

/** No picture is larger, and no layer has more neurons or filters. */
const MOST = 65_536;
const count = z.int().min(1).max(MOST);
const pair = z.tuple([count, count]);
const activation = z.enum(ACTIVATIONS);
const padding = z.enum(PADDINGS);

const dense = z.strictObject({
  // `normal` is what the oldest files call it.
  type: z.enum(['dense', 'normal']).transform(() => 'dense' as const),
  size: count,
  activation,
});
const dropout = z.strictObject({
  type: z.literal('dropout'),
  rate: z.number().min(0).lt(1, 'should be less than 1, which would drop everything'),
});
const conv2d = z.strictObject({
  type: z.literal('conv2d'),
  filters: count,
  kernel_size: pair,
  strides: pair.default([1, 1]),
  padding: padding.default('valid'),
  activation,
});
const pooling2d = z.strictObject({
  type: z.enum(['max_pooling2d', 'average_pooling2d']),
  pool_size: pair,
  strides: pair,
  padding: padding.default('valid'),
});
/** What a dense layer, and the output, do by themselves with a picture: it may be said as well. */
const flatten = z.strictObject({ type: z.literal('flatten') });

/** One layer of a genome, in the form of the wire; `normal` reads as `dense`. */
export const layer = z.discriminatedUnion('type', [dense, dropout, conv2d, pooling2d, flatten]);

/** One layer of a genome. */
export type Layer = z.infer<typeof layer>;

/**
 * A network in the original's form: layers between pictures of `input_shape` (width, height, channels; or the number of
 * their values, flat) and one softmax output for each of `output_size` categories. It is checked by itself: whether its
 * layers fit one another says `networkShapes`.
 */
export const genome = z.strictObject({
  input_shape: z.union([z.tuple([count, count, count]), z.int().min(1).max(16_777_216)]),
  output_size: count,
  optimizer: z.enum(OPTIMIZERS),
  layers: z.array(layer).max(1_000),
});

/** A network: what its layers are and how it is optimized. */
export type Genome = z.infer<typeof genome>;

/** What flows between two layers: width, height and channels of a picture, or the length of a flat row. */
export type Shape = readonly [number, number, number] | readonly [number];

/** A genome that no network can be built from. `at` is the place in it, as a path of zod. */
export class UnbuildableGenome extends Error {
  override name = 'UnbuildableGenome';
  readonly at: readonly (string | number)[];

  constructor(message: string, at: readonly (string | number)[]) {
    super(`${at.join('.')}: ${message}`);
    this.at = at;
  }
}

/** Between two layers there are at most so many values of a picture: the trainer takes no other network. */
const MOST_VALUES = 16_777_216;

/** The shape of what goes into each layer, and at last into the output. Throws {@link UnbuildableGenome}. */
export function networkShapes({ input_shape, layers }: Pick<Genome, 'input_shape' | 'layers'>): Shape[] {
  const shapes: Shape[] = [typeof input_shape === 'number' ? [input_shape] : input_shape];
  for (const [index, next] of layers.entries()) {
    const shape = shapes.at(-1) ?? [0];
    const after = shapeAfter(next, shape, ['layers', index]);
    if (sizeOf(after) > MOST_VALUES) {
      throw new UnbuildableGenome(`it makes ${sizeOf(after)} values of each picture, over ${MOST_VALUES}`, [
        'layers',
        index,
      ]);
    }
    shapes.push(after);
  }
  return shapes;
}

/** The shape behind a layer that `shape` goes into. Throws {@link UnbuildableGenome}, naming the layer by `at`. */
export function shapeAfter(next: Layer, shape: Shape, at: readonly (string | number)[] = []): Shape {
  if (next.type === 'dropout') return shape;
  if (next.type === 'flatten') return [sizeOf(shape)];
  if (next.type === 'dense') return [next.size];
  if (shape.length === 1) {
    throw new UnbuildableGenome(`${next.type} needs pictures, but the layer before it makes flat rows`, at);
  }
  const [width, height, channels] = shape;
  const window = next.type === 'conv2d' ? next.kernel_size : next.pool_size;
  const [across, down] = [width, height].map((size, axis) =>
    sizeAfter(size, window[axis] ?? 1, next.strides[axis] ?? 1, next.padding),
  );
  if (across === undefined || down === undefined || across < 1 || down < 1) {
    const name = next.type === 'conv2d' ? 'kernel' : 'window';
    throw new UnbuildableGenome(
      `a ${name} of ${window.join(' × ')} is larger than its input of ${width} × ${height}`,
      at,
    );
  }
  return [across, down, next.type === 'conv2d' ? next.filters : channels];
}

/** How many values a shape has. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product: number, size) => product * size, 1);
}

/** How many places a window takes along a side of `size`. */
function sizeAfter(size: number, window: number, stride: number, edges: (typeof PADDINGS)[number]): number {
  return edges === 'same' ? Math.ceil(size / stride) : Math.floor((size - window) / stride) + 1;
}
