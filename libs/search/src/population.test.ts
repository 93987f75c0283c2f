import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import * as z from 'zod';
import { searchSpec } from './check.ts';
import { genome, networkShapes } from './genome.ts';
import { weightsOf } from './network/weights.ts';
import { population, populationsOf, writePopulation } from './population.ts';
import { play } from './testing/play.ts';

const network = {
  input_shape: [28, 28, 3],
  output_size: 10,
  optimizer: 'adagrad',
  layers: [
    { type: 'dropout', rate: 0.6 },
    {
      type: 'conv2d',
      filters: 12,
      kernel_size: [3, 3],
      strides: [1, 1],
      padding: 'same',
      activation: 'relu',
    },
    { type: 'dense', size: 533, activation: 'sigmoid' },
  ],
};

test('A population of the original reads, and is written as it was', (t) => {
  const written = { population: [{ accuracy: 0.75, genome: network }], average_accuracy: 0.75 };
  const read = population.parse(written);
  t.deepEqual<unknown, unknown>(writePopulation(read.population), written);
});

test('The older form with one network of flat rows and "normal" layers reads as well', (t) => {
  const lonestar = {
    optimizer: 'adamax',
    input_shape: 784,
    output_size: 10,
    layers: [
      { type: 'normal', size: 987, activation: 'elu' },
      { type: 'dropout', rate: 0.2 },
    ],
  };
  const [first] = population.parse(lonestar).population;
  t.deepEqual(first?.genome.layers[0], { type: 'dense', size: 987, activation: 'elu' });
  t.is(first && weightsOf(first.genome), 785 * 987 + 988 * 10);
});

test('A population says which of its networks is not one', (t) => {
  const { error } = population.safeParse({
    population: [{ accuracy: 1, genome: { ...network, optimizer: 'best' } }],
  });
  t.regex(z.prettifyError(error ?? new z.ZodError([])), /optimizer/);
});

test('A search of dicebox has a population of each generation, and begins with those it is given', (t) => {
  const space = { network: { kind: 'network', input_shape: [28, 28, 3], output_size: 10, max_layers: 3 } };
  const spec = searchSpec.parse({
    space,
    seed: 3,
    strategy: { name: 'dicebox', population: 4, generations: 3 },
    objective: { goal: 'maximize' },
    budget: {},
    start: [{ network }],
  });
  const { trials } = play(spec, (_, __, number) => number / 100);
  const generations = populationsOf(spec, trials, 'network');
  t.is(generations.length, 3);
  t.true(generations.every((generation) => generation.length === 4));
  t.deepEqual<unknown, unknown>(generations[0]?.find(({ accuracy }) => accuracy === 0)?.genome, network);
  for (const generation of generations) {
    t.deepEqual(population.parse(writePopulation(generation)).population, generation);
  }
});

const fixture = z.union([
  z.object({ genome: z.json(), shapes: z.array(z.array(z.int())), parameters: z.int() }),
  z.object({ genome: z.json(), refused: z.literal('shape'), layer: z.int() }),
  z.object({ genome: z.json(), refused: z.literal('form') }),
]);

test('The trainer and the search agree on which networks can be built, on their shapes and their weights', async (t) => {
  const folder = new URL('../../../programs/picture-trainer/fixtures/genomes/', import.meta.url);
  const names = await readdir(folder);
  t.true(names.length >= 8);
  for (const name of names) {
    const expected = fixture.parse(JSON.parse(await readFile(new URL(name, folder), 'utf8')));
    const read = genome.safeParse(expected.genome);
    if ('refused' in expected) {
      t.is(read.success, expected.refused === 'shape', name);
      if (read.success && 'layer' in expected) {
        t.throws(
          () => networkShapes(read.data),
          { message: new RegExp(`^layers.${expected.layer}: `) },
          name,
        );
      }
      continue;
    }
    if (!read.success) throw read.error;
    t.deepEqual<unknown, unknown>(networkShapes(read.data), expected.shapes, name);
    t.is(weightsOf(read.data), expected.parameters, name);
  }
});
