import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { madeShard, writeShard } from '../testing/pictures.ts';
import { openTraining } from '../testing/training.ts';

const LAUNCHER = new URL('../../bin/picture-trainer', import.meta.url).pathname;

test.serial(
  'A training leaves a network, its weights as HDF5 by its id and accuracy, its metrics and its score',
  async (t) => {
    await using training = await openTraining();
    const { said } = await training.run({ epochs: 2 }, 'outputs');

    const lines = await training.lines('outputs');
    t.deepEqual(
      lines.map(({ epoch, engine, device, pictures }) => [epoch, engine, device, pictures]),
      [1, 2].map((epoch) => [epoch, 'wasm 4.22.0', 'cpu', 120]),
    );
    const best = Math.max(...lines.map(({ accuracy }) => Number(accuracy)));
    t.is((await training.json('outputs/score.json')).accuracy, best);
    const names = new Set(lines.map(({ accuracy }) => `bars.${(Number(accuracy) * 100).toFixed(2)}.hdf5`));
    const written = await readdir(training.at('outputs/network/weights'));
    t.true(written.includes(`bars.${(best * 100).toFixed(2)}.hdf5`));
    t.true(written.every((name) => names.has(name)));
    t.deepEqual(await training.json('outputs/network/category_map.json'), {
      cross: 0,
      lying: 1,
      standing: 2,
    });
    const network = await training.json('outputs/network/network.json');
    t.like(network, {
      version: 1,
      width: 8,
      height: 8,
      channels: 1,
      accuracy: best,
      measured_on: 'held_out',
    });
    t.like(network, {
      engine: { name: 'wasm', device: 'cpu' },
      parameters: 64 * 128 + 128 + 128 * 64 + 64 + 64 * 3 + 3,
    });
    t.true(said.includes('Learns 120 pictures of 8 × 8 × 1, and measures on 30 (held_out).'));
  },
);

test.serial('It measures on the test pictures where there are some', async (t) => {
  await using training = await openTraining();
  await writeShard(training.at('test/000'), madeShard({ count: 24, seed: 3 }));
  const { said } = await training.run({ epochs: 1 }, 'outputs');
  t.true(said.includes('Learns 150 pictures of 8 × 8 × 1, and measures on 24 (test).'));
});

test.serial('A folder of pictures may be one shard itself', async (t) => {
  await using training = await openTraining();
  const environment = { TRAINER_PICTURES: training.at('pictures/000') };
  const { said } = await training.run({ epochs: 1 }, 'outputs', { environment });
  t.true(said.includes('Learns 120 pictures of 8 × 8 × 1, and measures on 30 (held_out).'));
});

test.serial('It ends when the accuracy that is aimed at is reached', async (t) => {
  await using training = await openTraining();
  const { said } = await training.run({ epochs: 100, target_accuracy: 0.4 }, 'outputs');
  t.regex(
    said.at(-1) ?? '',
    /^Ends in epoch \d+: the accuracy is \S+ %, at least the 40\.00 % that is aimed at\.$/,
  );
  t.true((await training.lines('outputs')).length < 100);
});

test.serial('It ends when the accuracy has not improved for as many epochs as it may', async (t) => {
  await using training = await openTraining();
  // Nothing improves by more than all.
  const early_stopping = { patience: 2, min_delta: 1 };
  const { said } = await training.run({ epochs: 100, early_stopping }, 'outputs');
  t.is(said.at(-1), 'Ends in epoch 3: the accuracy has not improved since epoch 1.');
  t.is((await training.lines('outputs')).length, 3);
});

test.serial(
  'The program ends with 3 and a last line that says why, from whatever folder it is started',
  async (t) => {
    await using training = await openTraining(madeShard({ count: 20, categories: 1 }));
    const settings = await training.settle({ categories: ['cross'] });
    const env = { ...process.env, ...training.environment('outputs'), TRAINER_ENGINE: 'wasm' };
    const failed = await t.throwsAsync<Error & { code: number; stderr: string }>(
      promisify(execFile)(LAUNCHER, ['train', settings], { env, cwd: '/' }),
    );
    t.is(failed?.code, 3);
    t.regex(
      failed?.stderr ?? '',
      /^There is one category alone: a network learns to tell at least two apart\.\n$/,
    );
  },
);
