import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { ENGINES, openTraining } from '../testing/training.ts';

const PROGRAM = new URL('../main.ts', import.meta.url).pathname;
/** With all that is drawn at random: noise, dropout, the order of the pictures. */
const SETTINGS = {
  ...{ noise: 0.5, epochs: 4 },
  network: {
    ...{ input_shape: [8, 8, 1], output_size: 3, optimizer: 'adam' },
    layers: [
      {
        ...{ type: 'conv2d', filters: 4, activation: 'relu', kernel_size: [3, 3], strides: [1, 1] },
        padding: 'same',
      },
      { type: 'max_pooling2d', pool_size: [2, 2], strides: [2, 2] },
      { type: 'dropout', rate: 0.3 },
      { type: 'dense', size: 16, activation: 'tanh' },
    ],
  },
};

type Training = Awaited<ReturnType<typeof openTraining>>;

async function weightsOf(training: Training, outputs: string) {
  const network = (await training.json(`${outputs}/network/network.json`)) as { weights: { digest: string } };
  return [network.weights.digest, await training.json(`${outputs}/score.json`)];
}

async function demandSame(t: ExecutionContext, training: Training, outputs: string): Promise<void> {
  t.deepEqual(await training.lines(outputs), await training.lines('whole'));
  t.deepEqual(await weightsOf(training, outputs), await weightsOf(training, 'whole'));
}

for (const engine of ENGINES) {
  test.serial(
    `A training that is killed after each epoch tells what one tells that never was (${engine})`,
    async (t) => {
      await using training = await openTraining();
      await training.run(SETTINGS, 'whole', { engine });
      await rm(training.at('checkpoint'), { recursive: true });

      for (let epoch = 1; epoch <= 4; epoch += 1) {
        const killed = training.run(SETTINGS, `killed-${epoch}`, {
          engine,
          said: (text) => {
            if (text.startsWith(`Epoch ${epoch}:`)) throw new Error('killed');
          },
        });
        await t.throwsAsync(killed, { message: 'killed' });
      }
      const { said } = await training.run(SETTINGS, 'last', { engine });

      t.true(said.includes('Goes on from its checkpoint: epoch 4.'));
      await demandSame(t, training, 'last');
    },
  );

  test.serial(`A training that is killed after each batch goes on with the next (${engine})`, async (t) => {
    await using training = await openTraining();
    await training.run(SETTINGS, 'whole', { engine });
    await rm(training.at('checkpoint'), { recursive: true });
    let attempts = 0;
    for (let end = ''; end !== 'done'; attempts += 1) {
      let asked = 0;
      // It is asked once after a batch, and once when that is kept: what is killed there has kept it.
      const get = () => {
        asked += 1;
        if (asked > 1) throw new Error('killed');
        return false;
      };
      const signal = Object.defineProperty(new AbortController().signal, 'aborted', { get });
      const how = { engine, signal, checkpointMs: 0 };
      end = await training.run(SETTINGS, 'last', how).then(
        (ran) => ran.end,
        ({ message }: Error) => message,
      );
    }
    t.true(attempts >= 8, `${attempts}`);
    await demandSame(t, training, 'last');
  });

  test.serial(`A training that stops after a batch goes on with the next batch (${engine})`, async (t) => {
    await using training = await openTraining();
    await training.run(SETTINGS, 'whole', { engine });
    await rm(training.at('checkpoint'), { recursive: true });
    const stop = new AbortController();
    let asked = 0;
    // It is asked after each of the four batches of an epoch: after the last when that is measured.
    const get = () => {
      asked += 1;
      return asked > 5;
    };
    const signal = Object.defineProperty(stop.signal, 'aborted', { get });

    const stopped = await training.run(SETTINGS, 'stopped', { engine, signal });
    const went = await training.run(SETTINGS, 'last', { engine });

    t.is(stopped.end, 'stopped');
    t.is(stopped.said.at(-1), 'Stopped in epoch 2 after 2 batches.');
    t.true(went.said.includes('Goes on from its checkpoint: epoch 1, batch 2 of the next.'));
    await demandSame(t, training, 'last');
  });
}

test.serial(
  'A process that is killed, then told to stop, then left alone tells what one tells that never was',
  async (t) => {
    await using training = await openTraining();
    await training.run(SETTINGS, 'whole');
    await rm(training.at('checkpoint'), { recursive: true });
    const settings = await training.settle(SETTINGS);
    const attempt = async (outputs: string, signal: NodeJS.Signals | undefined, at: string) => {
      const environment = { ...process.env, ...training.environment(outputs), TRAINER_ENGINE: 'wasm' };
      const child = spawn(process.execPath, [PROGRAM, 'train', settings], {
        ...{ env: environment, stdio: ['ignore', 'pipe', 'inherit'] },
      });
      const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
      for await (const text of child.stdout.setEncoding('utf8'))
        if (signal !== undefined && String(text).includes(at)) child.kill(signal);
      return await ended;
    };

    t.deepEqual(await attempt('killed', 'SIGKILL', 'Epoch 1:'), [null, 'SIGKILL']);
    t.deepEqual(await attempt('stopped', 'SIGTERM', 'Goes on from its checkpoint'), [143, null]);
    t.deepEqual(await attempt('last', undefined, ''), [0, null]);
    await demandSame(t, training, 'last');
  },
);

test.serial(
  'A training goes on from the outputs of another: more epochs, as if it had been one',
  async (t) => {
    await using training = await openTraining();
    const without = { MORPHEO_CHECKPOINT: '' };
    await training.run(SETTINGS, 'whole', { environment: without });
    await training.run({ ...SETTINGS, epochs: 1 }, 'start', { environment: without });

    const { said } = await training.run(SETTINGS, 'more', { environment: without });

    t.true(said.includes('Goes on from /start: epoch 1.'));
    t.deepEqual(await training.lines('more'), (await training.lines('whole')).slice(1));
    t.deepEqual(await weightsOf(training, 'more'), await weightsOf(training, 'whole'));
  },
);

test.serial(
  'Of outputs without the state of their optimizer it takes the weights and the epoch',
  async (t) => {
    await using training = await openTraining();
    await training.run({ epochs: 1 }, 'start', { environment: { MORPHEO_CHECKPOINT: '' } });
    await rm(training.at('start/epochs'), { recursive: true });

    await training.run({ epochs: 2 }, 'more');

    t.deepEqual(
      (await training.lines('more')).map(({ epoch }) => epoch),
      [2],
    );
  },
);

test.serial('It does not go on from the outputs of another network', async (t) => {
  await using training = await openTraining();
  await training.run({ epochs: 1 }, 'start');
  await rm(training.at('checkpoint'), { recursive: true });
  const network = { input_shape: 64, output_size: 3, optimizer: 'sgd', layers: [] };
  await t.throwsAsync(training.run({ network }, 'more'), {
    name: 'Refusal',
    message: /cannot go on from \/start: its network is another one/,
  });
});

test.serial('A damaged checkpoint is left aside, and said', async (t) => {
  await using training = await openTraining();
  await training.run({ epochs: 1 }, 'whole');
  const path = training.at('checkpoint/training.state');
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, -1));

  const { said } = await training.run({ epochs: 1 }, 'again');

  t.true(said.some((text) => /checkpoint is left aside, since it is damaged: its digest/.test(text)));
  t.deepEqual(await training.lines('again'), await training.lines('whole'));
});
