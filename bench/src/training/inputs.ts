import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FASHION_CATEGORIES, fashionMnist } from '@morpheo/real-parts';
import { z } from 'zod';

/** How much is learnt: pictures, pictures to measure on, and the epochs of a run. */
export interface Learnt {
  readonly pictures: number;
  readonly tests: number;
  readonly epochs: number;
}

/** The folder of the picture trainer. */
export const TRAINER = fileURLToPath(new URL('../../../programs/picture-trainer/', import.meta.url));
/** What is there where the trainer has TensorFlow's own library. */
export const ADDON = join(TRAINER, 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node');
/** How many pictures are learnt at once. */
export const BATCH = 64;

const epochLine = z.object({ seconds: z.number(), accuracy: z.number(), device: z.string().optional() });

/** An epoch of a training. */
export type EpochLine = z.infer<typeof epochLine>;

/** The pictures as shards, and the settings of a training of them. */
export async function writeInputs(folder: string, { pictures, tests, epochs }: Learnt): Promise<void> {
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

/** Runs the picture trainer on what {@link writeInputs} has written, and returns its epochs. */
export async function runTrainer(
  folder: string,
  engine: string,
  variables: NodeJS.ProcessEnv = {},
): Promise<EpochLine[]> {
  const outputs = join(folder, 'outputs');
  await rm(outputs, { recursive: true, force: true });
  await mkdir(outputs);
  const environment = {
    ...{ TRAINER_PICTURES: join(folder, 'train'), TRAINER_TEST: join(folder, 'test') },
    ...{ MORPHEO_OUTPUTS: outputs, TRAINER_ENGINE: engine, ...variables },
  };
  await output(join(TRAINER, 'bin/picture-trainer'), ['train', join(folder, 'training.json')], environment);
  return linesOf(await readFile(join(outputs, 'metrics.jsonl'), 'utf8'));
}

/** What a program prints. */
export async function output(
  program: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { env: { ...process.env, ...environment } });
  return stdout;
}

/** The epochs that a training tells of, a line of JSON each. */
export function linesOf(text: string): EpochLine[] {
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => epochLine.parse(JSON.parse(line)));
}
