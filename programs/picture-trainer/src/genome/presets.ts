import type { Genome } from './genome.ts';

/** The networks that a training may name in place of writing a genome. */
export const PRESETS = ['small-cnn', 'mlp'] as const;

/** What pictures and categories a network is for. */
export interface Task {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly categories: number;
}

/**
 * The genome of a preset: `small-cnn` has two convolutions with pooling and a dense layer, about 100,000 parameters on
 * 28 × 28; `mlp` has two dense layers.
 */
export function presetGenome(preset: (typeof PRESETS)[number], task: Task): Genome {
  const ends = {
    input_shape: [task.width, task.height, task.channels] satisfies [number, number, number],
    output_size: task.categories,
    optimizer: 'adam' as const,
  };
  const dense = (size: number) => ({ type: 'dense' as const, size, activation: 'relu' as const });
  if (preset === 'mlp') return { ...ends, layers: [dense(128), dense(64)] };
  const convolution = (filters: number) => ({
    ...{ type: 'conv2d' as const, filters, activation: 'relu' as const },
    kernel_size: [3, 3] satisfies [number, number],
    strides: [1, 1] satisfies [number, number],
    padding: 'same' as const,
  });
  const pooling = {
    type: 'max_pooling2d' as const,
    pool_size: [2, 2] satisfies [number, number],
    strides: [2, 2] satisfies [number, number],
    // So that pictures of a few pixels have something left.
    padding: 'same' as const,
  };
  const dropout = { type: 'dropout' as const, rate: 0.25 };
  return { ...ends, layers: [convolution(16), pooling, convolution(32), pooling, dropout, dense(64)] };
}
