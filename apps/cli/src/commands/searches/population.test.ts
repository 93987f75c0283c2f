import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Search, search, type TrialView } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';
import { IDS } from '../../testing/samples.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

const ID = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';

function network(size: number) {
  return {
    ...{ input_shape: 784, output_size: 10, optimizer: 'adam' },
    layers: [{ type: 'dense', size, activation: 'relu' }],
  };
}

const FILE: Search = search.parse({
  ...{ uuid: ID, seed: 1, parallel: 1, strategy: { name: 'random' }, budget: { trials: 3 } },
  space: { network: { kind: 'network', input_shape: 784, output_size: 10 } },
  objective: { goal: 'maximize', score: 'accuracy' },
  job: { algo: IDS.algo },
  parameters: { path: '/config/training.json' },
});

function aTrial(trial: number, size: number, rung: Partial<TrialView['rungs'][number]>): TrialView {
  const rungs = [{ resource: 1, order: IDS.order, ...rung }];
  return { trial, arm: 'main', parameters: { network: network(size) }, rungs };
}

test('The networks of a search are written as a population, and one is what a search begins with', async (t) => {
  await using folder = await temporaryFolder();
  const posted: Search[] = [];
  await using platform = await fakePlatform({
    compute: {
      getSearchFile: async () => FILE,
      listTrials: async () => ({
        items: [
          aTrial(0, 16, { result: 1, value: 0.5 }),
          aTrial(1, 32, { result: 2, value: 0.75 }),
          aTrial(2, 64, {}),
        ],
        total: 3,
      }),
      postSearch: async ({ body }) => {
        posted.push(body);
        throw new Error('It is not answered.');
      },
    },
  });
  const { env } = platform;
  const { code, stdout, stderr } = await morpheo(['search', 'population', ID, folder.path], { env });
  t.is(code, 0, stderr);
  const path = join(folder.path, ID, '0/population.json');
  t.is(stdout, `${path}  2 networks\n`);
  const written = JSON.parse(await readFile(path, 'utf8'));
  t.is(written.average_accuracy, 0.625);
  t.like(written.population[0], { accuracy: 0.75, genome: { layers: [{ size: 32 }] } });
  const file = join(folder.path, 'search.json');
  await writeFile(file, JSON.stringify(FILE));
  await morpheo(['search', 'run', file, '--population', path], { env });
  t.like(posted[0]?.start?.[0], { network: { input_shape: 784, layers: [{ size: 32 }] } });
  await writeFile(file, JSON.stringify({ ...FILE, space: { x: { kind: 'bool' } } }));
  const none = await morpheo(['search', 'run', file, '--population', path], { env });
  t.regex(none.stderr, /the space of the search has none/);
});
