import { mkdir, rm, writeFile } from 'node:fs/promises';
import test from 'ava';
import { CATEGORIES, madeShard, writeShard } from '../testing/pictures.ts';
import { openTraining } from '../testing/training.ts';
import { evaluate } from './evaluate.ts';
import { placesOf } from './places.ts';

const dense = { type: 'dense', size: 4, activation: 'relu' };
const network = (rest: object) => ({
  ...{ input_shape: [8, 8, 1], output_size: 3, optimizer: 'sgd', layers: [dense] },
  ...rest,
});
const conv = { type: 'conv2d', filters: 2, kernel_size: [3, 3], strides: [1, 1], activation: 'relu' };
const deep = Array.from({ length: 12 }, () => ({ type: 'dense', size: 8, activation: 'exponential' }));

const SETTINGS: readonly (readonly [what: string, settings: object, message: RegExp])[] = [
  [
    'losses that are no numbers',
    { network: network({ layers: deep }) },
    /^The loss is no number any more in epoch 1: the network diverges/,
  ],
  [
    'a kernel larger than its input',
    { network: network({ layers: [{ ...conv, kernel_size: [9, 2] }] }) },
    /^The network cannot be built: layer 1 \(conv2d\) has a kernel of 9 × 2, larger than its input of 8 × 8\.$/,
  ],
  [
    'a convolution of flat rows',
    { network: network({ layers: [dense, conv] }) },
    /layer 2 \(conv2d\) needs pictures, but what comes before it makes flat rows/,
  ],
  [
    'a network of too many parameters',
    {
      network: network({
        layers: [
          { ...dense, size: 60_000 },
          { ...dense, size: 60_000 },
        ],
      }),
    },
    /cannot be built: it has 3604\d+ parameters, more than/,
  ],
  [
    'a layer of too many values',
    {
      network: network({
        layers: [
          { ...conv, filters: 60_000, padding: 'same' },
          { ...conv, filters: 60_000 },
        ],
      }),
    },
    /cannot be built: (it has|layer)/,
  ],
  [
    'an activation that there is not',
    { network: network({ layers: [{ ...dense, activation: 'mish' }] }) },
    /settings of the training are wrong: network\.layers\.0\.activation: /,
  ],
  ['a preset that there is not', { network: { preset: 'large' } }, /wrong: network\.preset: .*"mlp"/],
  [
    'a network for other pictures',
    { network: network({ input_shape: 63 }) },
    /made for pictures of 63 values, and these have 8 × 8 × 1\.$/,
  ],
  [
    'a network for other categories',
    { network: network({ output_size: 4 }) },
    /made for 4 categories, and there are 3\.$/,
  ],
  [
    'one category alone',
    { categories: ['lying'] },
    /the category "cross", which is not among those of the training/,
  ],
  [
    'a category without pictures',
    { categories: [...CATEGORIES, 'zebra'] },
    /^There are no pictures to learn of the category "zebra": store some, or leave it out\.$/,
  ],
  [
    'a category that is there twice',
    { categories: [...CATEGORIES, 'lying'] },
    /the category "lying" is there twice/,
  ],
  ['a key that there is not', { epoch: 3 }, /settings of the training are wrong: Unrecognized key: "epoch"/],
  ['no epochs', { epochs: 0 }, /wrong: epochs: /],
  ['more held out than half', { held_out: 0.6 }, /wrong: held_out: /],
  ['an id with slashes', { id: '../x' }, /wrong: id: should be letters/],
];

for (const [what, settings, message] of SETTINGS) {
  test.serial(`A training with ${what} is refused in a sentence`, async (t) => {
    await using training = await openTraining(madeShard({ count: 60 }));
    await t.throwsAsync(training.run(settings, 'outputs'), { name: 'Refusal', message });
  });
}

test.serial('Pictures of one category alone teach nothing', async (t) => {
  await using training = await openTraining(madeShard({ count: 20, categories: 1 }));
  await t.throwsAsync(training.run({ categories: ['cross'] }, 'outputs'), {
    ...{ name: 'Refusal', message: /^There is one category alone/ },
  });
});

test.serial('Pictures that are all alike teach nothing', async (t) => {
  const { index, pixels } = madeShard({ count: 20 });
  await using training = await openTraining({ index, pixels: pixels.fill(7) });
  await t.throwsAsync(training.run({}, 'outputs'), {
    ...{ name: 'Refusal', message: /^All 17 pictures to learn from are alike/ },
  });
});

test.serial('Shards that are damaged, missing or of different sizes are refused by name', async (t) => {
  await using training = await openTraining(madeShard({ count: 60 }));
  const refused = async (message: RegExp) =>
    await t.throwsAsync(training.run({}, 'outputs'), { name: 'Refusal', message });

  await writeShard(training.at('pictures/001'), madeShard({ count: 6, side: 9 }));
  await refused(/^The pictures have different sizes: 8 × 8 × 1 and 9 × 9 × 1\./);
  await writeFile(training.at('pictures/001/pixels.u8'), 'abc');
  await refused(
    /^The shard 001 is damaged: its pixels\.u8 has 3 bytes, and 6 pictures of 9 × 9 × 1 have 486\.$/,
  );
  await rm(training.at('pictures/001/pixels.u8'));
  await refused(/^The shard 001 is damaged: its file pixels\.u8 cannot be read\.$/);
  await writeFile(training.at('pictures/001/index.json'), '{"version": 1');
  await refused(/^The shard 001 is damaged: its index\.json is not JSON\.$/);
  await writeFile(training.at('pictures/001/index.json'), '{"version": 2}');
  await refused(/^The shard 001 has a wrong index\.json: version: /);
  await rm(training.at('pictures'), { recursive: true });
  await refused(/^There are no pictures to learn from/);
  await mkdir(training.at('pictures'));
  await refused(/^There are no pictures: a folder with index\.json/);
});

test.serial('Settings that are no JSON, or not there, are refused', async (t) => {
  await using training = await openTraining();
  const { train } = await import('./train.ts');
  const options = {
    ...{ places: placesOf(training.environment('outputs')), signal: new AbortController().signal },
    say: () => {},
  };
  const path = training.at('training.json');
  await t.throwsAsync(train(path, options), {
    name: 'Refusal',
    message: /settings of the training cannot be read/,
  });
  await writeFile(path, '{');
  await t.throwsAsync(train(path, options), {
    name: 'Refusal',
    message: /settings of the training are not JSON/,
  });
});

test.serial('A network whose weights have another shape, or are damaged, is refused', async (t) => {
  await using training = await openTraining();
  await training.run({ epochs: 1 }, 'network');
  await writeShard(training.at('test/000'), madeShard({ count: 10 }));
  const judging = async () =>
    await evaluate(placesOf(training.environment('outputs')), { engine: 'wasm', say: () => {} });
  await judging();
  t.is((await training.json('outputs/score.json')).pictures, 10);

  const path = training.at('network/network/network.json');
  const network = (await training.json('network/network/network.json')) as {
    genome: { layers: { size: number }[] };
  };
  const changed = structuredClone(network);
  changed.genome.layers = changed.genome.layers.map((layer) => ({ ...layer, size: 7 }));
  await writeFile(path, JSON.stringify(changed));
  await t.throwsAsync(judging(), {
    ...{
      name: 'Refusal',
      message:
        /^The weights of the network have another shape than its genome: dense\/kernel 64 × 128, .* and not dense\/kernel 64 × 7/,
    },
  });
  await writeFile(path, JSON.stringify(network));
  await writeFile(training.at('network/network/weights.bin'), 'short');
  await t.throwsAsync(judging(), {
    name: 'Refusal',
    message: /^The network is damaged: its weights\.bin has 5 bytes/,
  });
  await rm(path);
  await t.throwsAsync(judging(), {
    name: 'Refusal',
    message: /^There is no network: network\/network\.json cannot be read/,
  });
});
