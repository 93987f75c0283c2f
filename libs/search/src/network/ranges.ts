import * as z from 'zod';
import { ACTIVATIONS, LAYER_TYPES, OPTIMIZERS } from '../genome.ts';

const side = z.int().min(1).max(16_384);
const few = z.int().min(1).max(1_000);
const many = z.int().min(1).max(65_536);

/**
 * What networks a search may make: the original's `[TAXONOMY]` under its own names, and the pictures that go in. Sizes of
 * kernels and pools are those of one side.
 */
export const networkRanges = z.strictObject({
  input_shape: z.union([z.tuple([side, side, z.int().min(1).max(4)]), z.int().min(1).max(16_777_216)]),
  output_size: z.int().min(2, 'should be 2 at least: one category alone needs no network').max(65_536),
  min_layers: few.default(1),
  max_layers: few.default(8),
  min_neurons: many.default(8),
  max_neurons: many.default(256),
  min_filters: many.default(4),
  max_filters: many.default(32),
  min_kernel: few.default(1),
  max_kernel: few.default(4),
  max_pool: few.default(2),
  max_dropout: z.number().min(0).lt(1).default(0.7),
  layer_types: z.array(z.enum(LAYER_TYPES)).min(1).default(['dense', 'dropout']),
  activation: z.array(z.enum(ACTIVATIONS)).min(1).default(['elu', 'relu', 'selu', 'tanh']),
  optimizer: z.array(z.enum(OPTIMIZERS)).min(1).default(['adam', 'rmsprop', 'sgd']),
  /** No network with more weights is made: a search spends its time on many small ones. */
  max_parameters: z.int().min(1).max(100_000_000).default(2_000_000),
});

/** What networks a search may make. */
export type NetworkRanges = z.infer<typeof networkRanges>;
