import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FASHION_CATEGORIES, fashionMnist, findProgram } from '@morpheo/real-parts';
import { z } from 'zod';
import { type BenchContext, type BenchSize, median, type Report } from '../bench.ts';

/** How much is learnt: pictures, pictures to measure on, epochs of a run, and how often each way is run. */
interface Amount {
  readonly pictures: number;
  readonly tests: number;
  readonly epochs: number;
  readonly rounds: number;
}

const SIZES: Readonly<Record<BenchSize, Amount>> = {
  full: { pictures: 10_000, tests: 2000, epochs: 5, rounds: 3 },
  quick: { pictures: 10_000, tests: 2000, epochs: 4, rounds: 1 },
  tiny: { pictures: 200, tests: 100, epochs: 2, rounds: 1 },
};
const BATCH = 64;
const MOST = 1.7;
const TRAINER = fileURLToPath(new URL('../../../programs/picture-trainer/', import.meta.url));
const ADDON = join(TRAINER, 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node');

const epochLine = z.object({ seconds: z.number(), accuracy: z.number() });
type EpochLine = z.infer<typeof epochLine>;

/** What trains: its name, and the epochs of a run of it. */
interface Way {
  readonly name: string;
  readonly isPlain: boolean;
  run(): Promise<EpochLine[]>;
}

/**
 * Seconds an epoch of the picture trainer with each of its engines, on pictures of Fashion-MNIST, beside TensorFlow for
 * Python with the same network, pictures and batches on the same processors, in turns. The first epoch of a run is left
 * out: that is when each of them compiles.
 */
export async function training({ folder, size, say }: BenchContext): Promise<Report> {
  const amount = SIZES[size];
  await writeInputs(folder, amount);
  const ways = waysOf(folder, amount);
  const found = new Map<string, EpochLine[]>(ways.map(({ name }) => [name, []]));
  for (let round = 0; round < amount.rounds; round++) {
    for (const { name, run } of ways) {
      say(`training: ${name}`);
      found.get(name)?.push(...(await run()).slice(1));
    }
  }
  const rows = ways.map(({ name, isPlain }) => {
    const lines = found.get(name) ?? [];
    const seconds = median(lines.map((line) => line.seconds));
    return { name, isPlain, seconds, accuracy: lines.at(-1)?.accuracy ?? Number.NaN };
  });
  return reportOf(rows, amount);
}

function waysOf(folder: string, { epochs }: Amount): Way[] {
  const trainer = (name: string, engine: string): Way => ({
    ...{ name, isPlain: false },
    run: async () => await runTrainer(folder, engine),
  });
  const python = findProgram('python3-tensorflow');
  const script = fileURLToPath(new URL('train.py', import.meta.url));
  const plain: Way = {
    ...{ name: 'TensorFlow for Python', isPlain: true },
    run: async () => linesOf(await output(python ?? '', [script, folder, `${epochs}`, `${BATCH}`], {})),
  };
  return [
    ...(python === undefined ? [] : [plain]),
    ...(existsSync(ADDON) ? [trainer('picture trainer, TensorFlow', 'native')] : []),
    trainer('picture trainer, WebAssembly (one core)', 'wasm'),
  ];
}

/** The pictures as shards, and the settings of a training of them. */
async function writeInputs(folder: string, { pictures, tests, epochs }: Amount): Promise<void> {
  for (const [part, count] of [
    ['train', pictures],
    ['test', tests],
  ] as const) {
    const { width, height, pixels, labels } = await fashionMnist(part);
    const shard = join(folder, part, '000');
    await mkdir(shard, { recursive: true });
    const categories = [...labels.subarray(0, count)].map((label) => FASHION_CATEGORIES[label]);
    const index = { version: 1, name: 'fashion', width, height, channels: 1, count, categories };
    await writeFile(join(shard, 'index.json'), JSON.stringify(index));
    await writeFile(join(shard, 'pixels.u8'), pixels.subarray(0, count * width * height));
  }
  const settings = {
    ...{ version: 1, id: 'bench', seed: 1, network: { preset: 'small-cnn' }, epochs, batch_size: BATCH },
    ...{ held_out: 0, noise: 0, categories: FASHION_CATEGORIES },
  };
  await writeFile(join(folder, 'training.json'), JSON.stringify(settings));
}

async function runTrainer(folder: string, engine: string): Promise<EpochLine[]> {
  const outputs = join(folder, 'outputs');
  await rm(outputs, { recursive: true, force: true });
  await mkdir(outputs);
  const environment = {
    ...{ TRAINER_PICTURES: join(folder, 'train'), TRAINER_TEST: join(folder, 'test') },
    ...{ MORPHEO_OUTPUTS: outputs, TRAINER_ENGINE: engine },
  };
  await output(join(TRAINER, 'bin/picture-trainer'), ['train', join(folder, 'training.json')], environment);
  return linesOf(await readFile(join(outputs, 'metrics.jsonl'), 'utf8'));
}

async function output(program: string, args: string[], environment: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { env: { ...process.env, ...environment } });
  return stdout;
}

function linesOf(text: string): EpochLine[] {
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => epochLine.parse(JSON.parse(line)));
}

/** What was found of one way. */
interface Row {
  readonly name: string;
  readonly isPlain: boolean;
  readonly seconds: number;
  readonly accuracy: number;
}

function reportOf(rows: readonly Row[], { pictures, tests, epochs, rounds }: Amount): Report {
  const plain = rows.find(({ isPlain }) => isPlain);
  const native = rows.find(({ isPlain }) => !isPlain);
  const ratio = (native?.seconds ?? Number.NaN) / (plain?.seconds ?? Number.NaN);
  return {
    name: 'training',
    title: `seconds an epoch of ${pictures.toLocaleString('en')} pictures of 28 × 28, batches of ${BATCH}`,
    rows: rows.map(({ name, seconds, accuracy }) => ({
      ...{ what: name, 's/epoch': seconds, 'pictures/s': pictures / seconds },
      ...{ 'of Python': plain === undefined ? '' : seconds / plain.seconds, accuracy },
    })),
    aims:
      plain === undefined
        ? []
        : [{ what: 'seconds an epoch, times TensorFlow for Python', measured: ratio, most: MOST }],
    notes: [
      `The median of ${rounds} runs of ${epochs} epochs each, in turns, without the first epoch of each; the accuracy is that of the last epoch on ${tests.toLocaleString('en')} other pictures, which are measured within the seconds.`,
      ...(plain === undefined
        ? ['TensorFlow for Python is not here: utils/real-parts/install/python-tensorflow installs it.']
        : []),
    ],
    bars: rows.map(({ name, seconds, isPlain }) => ({
      ...{ label: name, value: seconds, unit: 's/epoch', plain: isPlain },
    })),
  };
}
