import { execFile } from 'node:child_process';
import { mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { requireProgram } from '../../../../utils/real-parts/src/place.ts';
import { withParts } from '../../../../utils/real-parts/src/with-parts.ts';
import { openEngine } from '../engine.ts';
import { type Genome, genomeSchema } from '../genome/genome.ts';
import { buildLayers } from '../network/layers.ts';
import { Network, sizeOf } from '../network/network.ts';
import { randomOf } from '../random.ts';
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

const PREDICT = `
import json, sys, numpy, keras
for name in sys.argv[1:]:
    model = keras.models.load_model(name + '.hdf5', compile=False)
    pictures = numpy.array(json.load(open(name + '.json')), dtype='float32').reshape((4,) + model.input_shape[1:])
    print(json.dumps(model.predict(pictures, verbose=0).reshape(-1).tolist()))
`;

// TensorFlow for Python takes many seconds to load.
if (process.env.MORPHEO_SOAK === '1')
  test('Keras loads what is written, and computes the same with it', loadsAlike);

async function loadsAlike(t: ExecutionContext): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'keras-'));
  const engine = await openEngine('wasm');
  const fixtures = new URL('../../fixtures/genomes/', import.meta.url);
  const paths: string[] = [];
  const expected: Float32Array[] = [];
  for (const name of await readdir(fixtures)) {
    const { genome, shapes } = JSON.parse(await readFile(new URL(name, fixtures), 'utf8')) as {
      genome: unknown;
      shapes?: unknown;
    };
    if (shapes === undefined) continue;
    const read = genomeSchema.parse(genome);
    const { input_shape: input } = read;
    const [width, height, channels] = typeof input === 'number' ? [input, 1, 1] : input;
    using network = new Network(engine, read, 3);
    const random = randomOf(width, height);
    const values = Float32Array.from({ length: 4 * width * height * channels }, random.next);
    expected.push(network.predict(engine.tf.tensor4d(values, [4, height, width, channels])));
    const path = join(folder.path, name);
    await writeKeras(`${path}.hdf5`, read, network.values());
    await writeFile(`${path}.json`, JSON.stringify([...values]));
    paths.push(path);
  }

  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' };
  const { stdout } = await promisify(execFile)(
    requireProgram('python3-tensorflow'),
    ['-c', PREDICT, ...paths],
    { env },
  );
  const rows = stdout
    .split('\n')
    .filter((line) => line.startsWith('['))
    .map((line) => JSON.parse(line) as number[]);
  t.is(rows.length, expected.length);
  for (const [index, row] of rows.entries()) {
    const own = expected[index] ?? new Float32Array();
    t.is(row.length, own.length);
    const off = Math.max(...row.map((value, place) => Math.abs(value - (own[place] ?? Number.NaN))));
    t.true(off < 1e-5, `${paths[index]} is off by ${off}`);
  }
}
