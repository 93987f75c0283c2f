import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import * as z from 'zod';
import { type EngineKind, openEngine } from '../engine.ts';
import { ACTIVATIONS, type Genome, type GenomeLayer, genomeSchema, OPTIMIZERS } from '../genome/genome.ts';
import { genomeShapes } from '../genome/shapes.ts';
import { randomOf } from '../random.ts';
import { ENGINES } from '../testing/training.ts';
import { buildLayers } from './layers.ts';
import { Network, sizeOf } from './network.ts';

const SIDE = 9;

/** Pictures drawn by a seed. */
function values(count: number): Float32Array {
  const random = randomOf(count);
  return Float32Array.from({ length: count * SIDE * SIDE }, () => random.next());
}

function genomeOf(layers: readonly GenomeLayer[], optimizer: Genome['optimizer'] = 'adam'): Genome {
  return { input_shape: [SIDE, SIDE, 1], output_size: 3, optimizer, layers: [...layers] };
}

const conv = (rest: Partial<Extract<GenomeLayer, { type: 'conv2d' }>>) => ({
  ...{ type: 'conv2d' as const, filters: 2, kernel_size: [3, 3] satisfies [number, number] },
  ...{ strides: [1, 1] satisfies [number, number], padding: 'valid' as const, activation: 'relu' as const },
  ...rest,
});

/** The losses of some steps on the same pictures. */
async function losses(kind: EngineKind, genome: Genome, steps = 12): Promise<number[]> {
  const engine = await openEngine(kind);
  using network = new Network(engine, genome, 11);
  const labels = Int32Array.from({ length: 12 }, (_, index) => index % 3);
  const pictures = engine.tf.tensor4d(values(12), [12, SIDE, SIDE, 1]);
  return Array.from(
    { length: steps },
    (_, batch) => network.train(pictures, labels, { seed: 1, epoch: 1, batch }).loss,
  );
}

const KINDS: readonly (readonly [string, Genome])[] = [
  ...ACTIVATIONS.map(
    (activation) =>
      [
        `the activation ${activation}`,
        genomeOf([conv({ activation }), { type: 'dense', size: 8, activation }]),
      ] as const,
  ),
  ...OPTIMIZERS.map(
    (optimizer) =>
      [
        `the optimizer ${optimizer}`,
        genomeOf([{ type: 'dense', size: 8, activation: 'tanh' }], optimizer),
      ] as const,
  ),
  ['no layers', genomeOf([])],
  ['dropout', genomeOf([conv({}), { type: 'dropout', rate: 0.5 }])],
  [
    'poolings',
    genomeOf([
      { type: 'max_pooling2d', pool_size: [2, 3], strides: [1, 2], padding: 'same' },
      { type: 'average_pooling2d', pool_size: [3, 2], strides: [2, 1], padding: 'valid' },
      { type: 'flatten' },
    ]),
  ],
  [
    'kernels that are not square',
    genomeOf([conv({ kernel_size: [1, 4], strides: [1, 2], padding: 'same' })]),
  ],
  [
    'kernels smaller than their strides',
    genomeOf([conv({ kernel_size: [2, 1], strides: [3, 2], padding: 'same' })]),
  ],
  [
    'a flat input',
    { ...genomeOf([{ type: 'dense', size: 4, activation: 'relu' }]), input_shape: SIDE * SIDE },
  ],
];

for (const [what, genome] of KINDS) {
  test.serial(`A network with ${what} is trained alike by all engines`, async (t) => {
    const all: number[][] = [];
    for (const kind of ENGINES) all.push(await losses(kind, genome));
    const [first = [], ...others] = all;
    t.true(first.every(Number.isFinite));
    t.true((first.at(-1) ?? Number.NaN) < (first[0] ?? Number.NaN), `${first[0]} to ${first.at(-1)}`);
    for (const other of others)
      for (const [step, loss] of other.entries())
        t.true(
          Math.abs(loss - (first[step] ?? Number.NaN)) < 1e-2,
          `step ${step}: ${first[step]} and ${loss}`,
        );
  });
}

const fixture = z.union([
  z.object({ genome: z.unknown(), shapes: z.array(z.array(z.int())), parameters: z.int() }),
  z.object({ genome: z.unknown(), refused: z.literal('shape'), layer: z.int() }),
  z.object({ genome: z.unknown(), refused: z.literal('form') }),
]);

test.serial('Genomes have the form, the shapes and the parameters that searches count with', async (t) => {
  const folder = new URL('../../fixtures/genomes/', import.meta.url);
  for (const name of await readdir(folder)) {
    const expected = fixture.parse(JSON.parse(await readFile(new URL(name, folder), 'utf8')));
    const read = genomeSchema.safeParse(expected.genome);
    t.is(read.success, !('refused' in expected && expected.refused === 'form'), name);
    if (!read.success) continue;
    if ('shapes' in expected) {
      t.deepEqual<unknown, unknown>(genomeShapes(read.data), expected.shapes, name);
      const sizes = buildLayers(read.data).flatMap(({ weights }) =>
        weights.map(({ shape }) => sizeOf(shape)),
      );
      t.is(
        sizes.reduce((sum, size) => sum + size, 0),
        expected.parameters,
        name,
      );
    } else if ('layer' in expected) {
      const message = new RegExp(`^The network cannot be built: layer ${expected.layer + 1} `);
      t.throws(() => genomeShapes(read.data), { name: 'Refusal', message }, name);
    }
  }
});

test.serial('Training leaves no tensors behind', async (t) => {
  const { tf } = await openEngine('wasm');
  await losses('wasm', genomeOf([conv({})]), 1);
  const before = tf.memory().numTensors;
  await losses('wasm', genomeOf([conv({}), { type: 'dropout', rate: 0.5 }]), 3);
  // The pictures of the test itself.
  t.is(tf.memory().numTensors - before, 1);
});
