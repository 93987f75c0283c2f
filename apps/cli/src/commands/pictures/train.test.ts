import { writeFile } from 'node:fs/promises';
import type { ClassificationContract, PicturesContract } from '@morpheo/client/dicebox';
import {
  type Api,
  DICEBOX_CLASSIFICATION_V1,
  DICEBOX_SENSORY_V1,
  DICEBOX_TRAINING_V1,
  diceboxContract,
  PlatformError,
  type TrainingRequest,
  type TrainingView,
} from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { serve } from '../../testing/platform.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

const SET = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
const OUTPUT = '0b8f1f5e-0b1d-4f0c-9f8e-2b6d1f7c0a22';
const USER = { MORPHEO_USER: 'admin', MORPHEO_PASSWORD: 'a-secret-of-thirty-two-characters' };

/** A dicebox whose trainings stand as `states` say, one after the other. */
async function fakeDicebox(...states: readonly Partial<TrainingView>[]) {
  const asked: TrainingRequest[] = [];
  let at = 0;
  const view = (): TrainingView => ({
    ...{
      id: asked.at(-1)?.id ?? '',
      status: 'done',
      set: SET,
      set_name: 'clothes_28x28',
      network: 'small-cnn',
    },
    ...{ epochs_wanted: 2, pictures: 70, attempt: 1, created_at: '2026-11-30T00:00:00.000Z', epochs: [] },
    ...states[Math.min(at, states.length - 1)],
  });
  const api: Partial<Api<PicturesContract>> = {
    listPictureSets: async () => ({
      items: ['clothes', 'shoes'].map((name, index) => ({
        ...{
          id: index === 0 ? SET : OUTPUT,
          owner: 'admin',
          name,
          width: 28,
          height: 28,
          channels: 1 as const,
        },
        ...{ pictures: 70, categories: [], created_at: '2026-11-30T00:00:00.000Z' },
      })),
    }),
    async createTraining({ body }) {
      asked.push(body);
      return view();
    },
    async getTraining() {
      at += 1;
      return view();
    },
  };
  const contract = diceboxContract({ ...DICEBOX_SENSORY_V1, ...DICEBOX_TRAINING_V1 });
  const server = await serve(contract, api);
  return {
    ...{ asked, env: { MORPHEO_DICEBOX_URL: server.url, ...USER } },
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
}

const epoch = (number: number, accuracy: number) => ({
  ...{ epoch: number, loss: 0.5, accuracy, seconds: 1.5 },
  ...{ engine: 'tensorflow 2.15.1', device: 'cpu', pictures: 63 },
});

test('A training is watched epoch by epoch, and its accuracy and network are told', async (t) => {
  await using dicebox = await fakeDicebox(
    { status: 'todo', why: 'It waits for a worker.' },
    { status: 'pending', epochs: [epoch(1, 0.5)] },
    {
      ...{ status: 'done', epochs: [epoch(1, 0.5), epoch(2, 0.75)] },
      ...{ best: { epoch: 2, accuracy: 0.75 }, output: OUTPUT },
    },
  );
  const { code, stdout } = await morpheo(
    ['pictures', 'train', 'clothes', '--test', 'shoes', '--epochs', '2'],
    dicebox,
  );
  t.is(code, 0);
  t.like(dicebox.asked[0], { set: SET, test_set: OUTPUT, epochs: 2 });
  const [first, second, end = ''] = stdout.split('\n');
  t.regex(
    first ?? '',
    /^epoch 1 of 2 {2}loss 0\.5000 {2}accuracy 50\.00 % {2}1\.5 s {2}tensorflow 2\.15\.1 \(cpu\)/,
  );
  t.regex(second ?? '', /^epoch 2 of 2 .* 75\.00 %/);
  t.regex(end, /accuracy 75\.00 % after epoch 2/);
  t.true(stdout.includes(`morpheo get output ${OUTPUT}`));
});

test('A training that fails says why, and the exit code tells', async (t) => {
  const failure = { reason: 'exit_code' as const, message: 'There is one category alone.' };
  await using dicebox = await fakeDicebox({ status: 'failed', failure });
  const { code, stdout } = await morpheo(['pictures', 'train', 'clothes_28x28'], dicebox);
  t.is(code, 1);
  t.regex(stdout, /failed: There is one category alone\./);
});

test('A network is a preset or a file with a genome, and nothing else', async (t) => {
  await using dicebox = await fakeDicebox({ status: 'todo' });
  await using folder = await temporaryFolder();
  const genome = { input_shape: [28, 28, 1], output_size: 10, optimizer: 'adam', layers: [] };
  await writeFile(folder.file('genome.json'), JSON.stringify(genome));
  await writeFile(folder.file('other.json'), '{"size":3}');
  const train = async (network: string) =>
    await morpheo(['pictures', 'train', 'clothes', '--detach', '--network', network], dicebox);
  t.is((await train('mlp')).code, 0);
  t.is((await train(folder.file('genome.json'))).code, 0);
  t.deepEqual<unknown, unknown>(
    dicebox.asked.map(({ network }) => network),
    [{ preset: 'mlp' }, genome],
  );
  await writeFile(folder.file('no.json'), '{');
  for (const [wrong, lack] of [
    ['big-cnn', 'that is there.\n'],
    [folder.file('other.json'), 'with a genome.\n'],
    [folder.file('no.json'), 'with a genome.\n'],
  ] as const) {
    const { code, stderr } = await train(wrong);
    t.is(code, 2);
    t.true(
      stderr.startsWith(`error: ${wrong} is neither a preset (small-cnn, mlp) nor a file ${lack}`),
      stderr,
    );
  }
});

test('The help of a training tells what is so where nothing is said', async (t) => {
  const { stdout } = await morpheo(['pictures', 'train', '--help'], { env: {} });
  const told = stdout.replaceAll(/\s+/g, ' ');
  for (const value of ['small-cnn', '10', '64'])
    t.true(told.includes(`(default: ${value}, unless dicebox is set otherwise)`), stdout);
  t.regex(told, /--seed <n> of all that is drawn \(default: another for each training\)/);
});

test('A picture is classified with how sure the network is', async (t) => {
  await using folder = await temporaryFolder();
  await writeFile(folder.file('a.png'), 'bytes of a picture');
  const sent: string[] = [];
  const api: Partial<Api<ClassificationContract>> = {
    async classifyPicture({ body }) {
      sent.push(Buffer.from(body.data, 'base64').toString('utf8'));
      const probabilities = [
        { category: 'bag', probability: 0.875 },
        { category: 'coat', probability: 0.125 },
      ];
      const network = { training: SET, digest: '0'.repeat(64), accuracy: 0.9 };
      return { category: 'bag', index: 0, probabilities, network, ms: 3.25 };
    },
  };
  await using server = await serve(diceboxContract(DICEBOX_CLASSIFICATION_V1), api);
  const env = { MORPHEO_CLASSIFICATION_URL: server.url, ...USER };
  const { stdout, code } = await morpheo(['pictures', 'classify', folder.file('a.png')], { env });
  t.is(code, 0);
  t.regex(stdout, /a\.png: bag {2}87\.5 %, 3\.[23] ms/);
  t.deepEqual(sent, ['bytes of a picture']);
});

test('A file that is not there, or is no picture, is named: the fault is not of the program', async (t) => {
  await using folder = await temporaryFolder();
  await writeFile(folder.file('a.png'), 'no picture');
  const api: Partial<Api<ClassificationContract>> = {
    async classifyPicture() {
      throw new PlatformError('invalid_request', 'The bytes are no picture: send a PNG or a JPEG.');
    },
  };
  await using server = await serve(diceboxContract(DICEBOX_CLASSIFICATION_V1), api);
  const env = { MORPHEO_CLASSIFICATION_URL: server.url, ...USER };
  const ask = async (name: string) => await morpheo(['pictures', 'classify', folder.file(name)], { env });
  t.like(await ask('nope.png'), { code: 2, stderr: `error: ${folder.file('nope.png')} is not there.\n` });
  t.like(await ask('a.png'), {
    code: 2,
    stderr: `error: ${folder.file('a.png')}: The bytes are no picture: send a PNG or a JPEG.\n`,
  });
});
