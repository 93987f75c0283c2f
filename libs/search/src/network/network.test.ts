import test from 'ava';
import fc from 'fast-check';
import { byUnits, canonicalJson } from '../canonical.ts';
import { type Genome, genome, LAYER_TYPES, networkShapes, OPTIMIZERS } from '../genome.ts';
import { randomOf } from '../random.ts';
import { drawNetwork } from './draw.ts';
import { type NetworkRanges, networkRanges } from './ranges.ts';
import { crossNetworks, mutateNetwork, mutateNetworkByChance } from './vary.ts';
import { weightsOf } from './weights.ts';

const side = fc.integer({ min: 1, max: 40 });
const anyRanges: fc.Arbitrary<NetworkRanges> = fc
  .record({
    shape: fc.tuple(side, side, fc.constantFrom(1, 3)),
    isFlat: fc.boolean(),
    types: fc.subarray([...LAYER_TYPES], { minLength: 1 }),
    optimizer: fc.subarray([...OPTIMIZERS], { minLength: 1 }),
    layers: fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 6 })),
    kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 4 })),
    max_parameters: fc.integer({ min: 20_000, max: 200_000 }),
  })
  .map(({ shape, isFlat, types, optimizer, layers, kernel, max_parameters }) =>
    networkRanges.parse({
      input_shape: isFlat ? shape[0] * shape[1] : shape,
      output_size: 5,
      min_layers: layers[0],
      max_layers: layers[0] + layers[1],
      min_kernel: kernel[0],
      max_kernel: kernel[0] + kernel[1],
      min_neurons: 1,
      min_filters: 1,
      layer_types: isFlat ? ['dense', 'dropout'] : [...new Set([...types, 'dense'])],
      optimizer,
      max_parameters,
    }),
  );

/** What is wrong with a network that a search has made. */
function wrongWith(ranges: NetworkRanges, made: Genome): string[] {
  const wrong: string[] = [];
  networkShapes(made);
  if (canonicalJson(genome.parse(made)) !== canonicalJson(made)) wrong.push('is not in its own form');
  if (weightsOf(made) > ranges.max_parameters) wrong.push(`has ${weightsOf(made)} weights`);
  const count = made.layers.length;
  if (count < ranges.min_layers || count > ranges.max_layers) wrong.push(`has ${count} layers`);
  if (!ranges.optimizer.includes(made.optimizer)) wrong.push(made.optimizer);
  for (const layer of made.layers) {
    if (layer.type === 'dense' && layer.size > ranges.max_neurons) wrong.push(`${layer.size} neurons`);
    if (layer.type === 'conv2d' && layer.filters > ranges.max_filters) wrong.push(`${layer.filters} filters`);
    if (layer.type === 'dropout' && layer.rate > ranges.max_dropout) wrong.push(`a rate of ${layer.rate}`);
  }
  return wrong;
}

test('Networks that are drawn, mutated and crossed again and again can be built and lie within the ranges', (t) => {
  fc.assert(
    fc.property(anyRanges, fc.integer(), (ranges, seed) => {
      const random = randomOf(seed);
      let [mother, father] = [drawNetwork(ranges, random), drawNetwork(ranges, random)];
      t.deepEqual([...wrongWith(ranges, mother), ...wrongWith(ranges, father)], []);
      for (let generation = 0; generation < 10; generation += 1) {
        const child = crossNetworks(ranges, mother, father, random);
        const mutant = mutateNetwork(ranges, child, random);
        const other = mutateNetworkByChance(ranges, mutant, 0.2, random);
        for (const made of [child, mutant, other]) t.deepEqual(wrongWith(ranges, made), []);
        [mother, father] = [mutant, other];
      }
    }),
    { numRuns: 60 },
  );
});

test('A mutation changes a network in one place at most, and mostly does', (t) => {
  const ranges = networkRanges.parse({
    input_shape: [28, 28, 1],
    output_size: 10,
    layer_types: ['dense', 'dropout'],
    max_layers: 6,
  });
  const random = randomOf('one place');
  let changed = 0;
  for (let run = 0; run < 200; run += 1) {
    const parent = drawNetwork(ranges, random);
    const child = mutateNetwork(ranges, parent, random);
    const differs = parent.layers.length - child.layers.length;
    t.true(Math.abs(differs) <= 1);
    const others = child.layers.filter(
      (layer, index) => differs === 0 && canonicalJson(layer) !== canonicalJson(parent.layers[index] ?? null),
    );
    t.true(others.length <= 1);
    if (canonicalJson(child) !== canonicalJson(parent)) changed += 1;
  }
  t.true(changed > 180, `${changed}`);
});

test('Each kind of layer, activation and optimizer of the ranges comes about', (t) => {
  const ranges = networkRanges.parse({
    input_shape: [28, 28, 1],
    output_size: 10,
    min_layers: 3,
    layer_types: [...LAYER_TYPES],
    optimizer: [...OPTIMIZERS],
  });
  const random = randomOf('kinds');
  const made = Array.from({ length: 200 }, () => drawNetwork(ranges, random));
  const types = new Set(made.flatMap(({ layers }) => layers.map(({ type }) => type)));
  t.deepEqual([...types].toSorted(byUnits), [...LAYER_TYPES].toSorted(byUnits));
  const optimizers = new Set(made.map(({ optimizer }) => optimizer));
  t.deepEqual([...optimizers].toSorted(byUnits), [...OPTIMIZERS].toSorted(byUnits));
});
