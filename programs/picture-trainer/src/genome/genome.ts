import * as z from 'zod';

/** The activation functions that a genome may name. */
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

/** An activation function by its name in Keras. */
export type ActivationName = (typeof ACTIVATIONS)[number];
/** An optimizer by its name in Keras. */
export type OptimizerName = (typeof OPTIMIZERS)[number];

const count = z.int().min(1).max(65_536);
const pair = z.tuple([count, count]);
const activation = z.enum(ACTIVATIONS);
const padding = z.enum(['valid', 'same']);

const layer = z.discriminatedUnion('type', [
  // `normal` is what the oldest files call it.
  z.strictObject({
    type: z.enum(['dense', 'normal']).transform(() => 'dense' as const),
    ...{ size: count, activation },
  }),
  z.strictObject({ type: z.literal('dropout'), rate: z.number().min(0).lt(1) }),
  z.strictObject({
    type: z.literal('conv2d'),
    filters: count,
    ...{ kernel_size: pair, strides: pair.default([1, 1]), padding: padding.default('valid'), activation },
  }),
  z.strictObject({
    type: z.enum(['max_pooling2d', 'average_pooling2d']),
    ...{ pool_size: pair, strides: pair, padding: padding.default('valid') },
  }),
  z.strictObject({ type: z.literal('flatten') }),
]);

/**
 * A network as dicebox writes it: layers between pictures of `input_shape` (width, height, channels, or the number of
 * their values) and one output for each of `output_size` categories. Pairs are (across, down). `genomeShapes` says
 * whether the layers fit one another.
 */
export const genomeSchema = z.strictObject({
  input_shape: z.union([z.tuple([count, count, count]), z.int().min(1).max(16_777_216)]),
  output_size: count,
  optimizer: z.enum(OPTIMIZERS),
  layers: z.array(layer).max(1_000),
});

/** A network: its layers, and how it is optimized. */
export type Genome = z.infer<typeof genomeSchema>;
/** One layer of a genome. */
export type GenomeLayer = Genome['layers'][number];
