import { execFile } from 'node:child_process';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { requireProgram } from '../../../../utils/real-parts/src/place.ts';
import { withParts } from '../../../../utils/real-parts/src/with-parts.ts';
import type { Genome } from '../genome/genome.ts';
import { buildLayers } from '../network/layers.ts';
import { sizeOf } from '../network/network.ts';
import { writeKeras } from './keras.ts';

const GENOME: Genome = {
  ...{ input_shape: [6, 5, 1], output_size: 2, optimizer: 'adam' },
  layers: [
    {
      ...{ type: 'conv2d', filters: 2, kernel_size: [3, 2], strides: [2, 1] },
      ...{ padding: 'valid', activation: 'hard_sigmoid' },
    },
    { type: 'average_pooling2d', pool_size: [2, 1], strides: [1, 2], padding: 'same' },
    { type: 'dropout', rate: 0.25 },
    { type: 'dense', size: 4, activation: 'exponential' },
  ],
};

const READ = `
import h5py, json, sys
with h5py.File(sys.argv[1], 'r') as file:
    weights = file['model_weights']
    names = [name.decode() for name in weights.attrs['layer_names']]
    found = {}
    for name in names:
        for weight in weights[name].attrs['weight_names']:
            data = weights[name][weight.decode()]
            found[weight.decode()] = [str(data.dtype), list(data.shape), data[()].reshape(-1).tolist()]
    attributes = {name: file.attrs[name] for name in file.attrs}
    print(json.dumps({'layers': names, 'weights': found, 'attributes': attributes}))
`;

withParts(test, 'h5py')(
  'Weights are real HDF5 in the layout of Keras 2: h5py reads each of them',
  async (t) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'keras-'));
    const specs = buildLayers(GENOME).flatMap(({ weights }) => weights);
    const count = specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    const values = Float32Array.from({ length: count }, (_, index) => index / 8);
    const path = join(folder.path, 'weights/bars.93.75.hdf5');

    await writeKeras(path, GENOME, values);

    const { stdout } = await promisify(execFile)(requireProgram('python3-h5py'), ['-c', READ, path]);
    const read = JSON.parse(stdout) as {
      readonly layers: readonly string[];
      readonly weights: Readonly<Record<string, unknown>>;
      readonly attributes: Readonly<Record<string, string>>;
    };
    t.deepEqual(read.layers, ['conv2d', 'dense', 'dense_1']);
    let from = 0;
    for (const { layer, name, shape } of specs) {
      const own = [...values.subarray(from, from + sizeOf(shape))];
      t.deepEqual(read.weights[`${layer}/${name}:0`], ['float32', [...shape], own]);
      from += own.length;
    }
    t.deepEqual(
      specs.map(({ shape }) => shape),
      [[2, 3, 1, 2], [2], [8, 4], [4], [4, 2], [2]],
    );
    const { keras_version, backend, model_config = '' } = read.attributes;
    t.deepEqual([keras_version, backend], ['2.15.0', 'tensorflow']);
    const { config } = JSON.parse(model_config) as {
      config: { layers: { class_name: string; config: Record<string, unknown> }[] };
    };
    t.deepEqual(
      config.layers.map((layer) => layer.class_name),
      ['InputLayer', 'Conv2D', 'AveragePooling2D', 'Dropout', 'Flatten', 'Dense', 'Dense'],
    );
    t.deepEqual(config.layers[0]?.config.batch_input_shape, [null, 5, 6, 1]);
    t.deepEqual(config.layers[1]?.config.kernel_size, [2, 3]);
    t.is(config.layers.at(-1)?.config.activation, 'softmax');
  },
);
