import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import h5wasm, { type Group } from 'h5wasm/node';
import type { Genome } from '../genome/genome.ts';
import { genomeShapes } from '../genome/shapes.ts';
import { buildLayers } from '../network/layers.ts';
import { sizeOf } from '../network/network.ts';

/** The release whose layout this is: the last of Keras 2. */
const KERAS_VERSION = '2.15.0';

/**
 * Writes a network as Keras 2 does (`model.save("….hdf5")`): an HDF5 file that `load_model` and `load_weights` of Keras
 * take. Its pictures have values from 0 to 1, in rows from the top.
 */
export async function writeKeras(path: string, genome: Genome, values: Float32Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await h5wasm.ready;
  const file = new h5wasm.File(path, 'w');
  try {
    file.create_attribute('keras_version', KERAS_VERSION);
    file.create_attribute('backend', 'tensorflow');
    file.create_attribute('model_config', JSON.stringify(modelConfig(genome)));
    writeWeights(file.create_group('model_weights'), genome, values);
  } finally {
    file.close();
  }
}

function writeWeights(group: Group, genome: Genome, values: Float32Array): void {
  const layers = buildLayers(genome).filter(({ weights }) => weights.length > 0);
  group.create_attribute('keras_version', KERAS_VERSION);
  group.create_attribute('backend', 'tensorflow');
  writeNames(
    group,
    'layer_names',
    layers.map(({ name }) => name),
  );
  let from = 0;
  for (const { name, weights } of layers) {
    const outer = group.create_group(name);
    // Twice, as Keras has it: the group of the layer, and in it the scope of its variables.
    const inner = outer.create_group(name);
    writeNames(
      outer,
      'weight_names',
      weights.map((weight) => `${name}/${weight.name}:0`),
    );
    for (const weight of weights) {
      const size = sizeOf(weight.shape);
      const data = values.slice(from, from + size);
      inner.create_dataset({ name: `${weight.name}:0`, data, shape: [...weight.shape], dtype: '<f4' });
      from += size;
    }
  }
}

/** Keras reads lists of names as fixed strings, each ended by a zero. */
function writeNames(group: Group, attribute: string, names: readonly string[]): void {
  const longest = Math.max(...names.map((name) => Buffer.byteLength(name)));
  group.create_attribute(attribute, [...names], [names.length], `A${longest + 1}`);
}

interface KerasLayer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What `model.to_json()` of Keras 2 says of the network, as far as it is not what Keras assumes. */
function modelConfig(genome: Genome) {
  const { input_shape: input, layers } = genome;
  const shapes = genomeShapes(genome);
  const names = buildLayers(genome).map(({ name }) => name);
  const batch = typeof input === 'number' ? [null, input] : [null, input[1], input[0], input[2]];
  const output = { type: 'dense', size: genome.output_size, activation: 'softmax' } as const;
  const configs = [...layers, output].flatMap((layer, index) =>
    kerasLayers(layer, names[index] ?? '', shapes[index]?.length === 3),
  );
  const start = { class_name: 'InputLayer', config: { name: 'pictures', batch_input_shape: batch } };
  return { class_name: 'Sequential', config: { name: 'network', layers: [start, ...configs] } };
}

function kerasLayers(layer: Genome['layers'][number], name: string, onPictures: boolean): KerasLayer[] {
  const flatten = (of: string): KerasLayer[] =>
    onPictures ? [{ class_name: 'Flatten', config: { name: of, data_format: 'channels_last' } }] : [];
  const { type } = layer;
  switch (type) {
    case 'dropout':
      return [{ class_name: 'Dropout', config: { name, rate: layer.rate } }];
    case 'flatten':
      return flatten(name);
    case 'dense':
      return [
        ...flatten(`${name}_input`),
        { class_name: 'Dense', config: { name, units: layer.size, activation: layer.activation } },
      ];
    case 'conv2d':
      return [
        {
          class_name: 'Conv2D',
          config: {
            ...{ name, filters: layer.filters, activation: layer.activation, padding: layer.padding },
            ...{ kernel_size: layer.kernel_size.toReversed(), strides: layer.strides.toReversed() },
          },
        },
      ];
    default: {
      const { pool_size: size, strides, padding } = layer;
      const config = { name, pool_size: size.toReversed(), strides: strides.toReversed(), padding };
      return [{ class_name: type === 'max_pooling2d' ? 'MaxPooling2D' : 'AveragePooling2D', config }];
    }
  }
}
