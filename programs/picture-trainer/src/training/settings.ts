import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { type Genome, genomeSchema } from '../genome/genome.ts';
import { PRESETS, presetGenome, type Task } from '../genome/presets.ts';
import { sizeText } from '../pictures/shards.ts';
import { Refusal, wrong } from '../refusal.ts';

const share = z.number().min(0).max(1);

const preset = z.strictObject({ preset: z.enum(PRESETS) });
/** Judged by the one that is meant, so that the error names what is wrong in it. */
const network = z.unknown().transform((value, context): Genome | z.infer<typeof preset> => {
  const isPreset = typeof value === 'object' && value !== null && 'preset' in value;
  const found = isPreset ? preset.safeParse(value) : genomeSchema.safeParse(value);
  if (found.success) return found.data;
  for (const { path, message } of found.error.issues) context.addIssue({ code: 'custom', path, message });
  return z.NEVER;
});

/** What `training.json` says. */
const settingsSchema = z.strictObject({
  version: z.literal(1),
  /** What the weights are called by: the id of the training request. */
  id: z.string().regex(/^[\w-]{1,100}$/, 'should be letters, digits, "-" and "_"'),
  seed: z.int().min(0),
  network,
  /** Counted from the very beginning of the network, what it learnt before `/start` was stored included. */
  epochs: z.int().min(1).max(100_000),
  batch_size: z.int().min(1).max(65_536),
  /** The share of the pictures that is not learnt but measured, where there are no test pictures. */
  held_out: z.number().min(0).max(0.5).default(0.1),
  noise: share.default(0),
  categories: z.array(z.string().min(1)).min(1).max(65_536),
  early_stopping: z
    .strictObject({ patience: z.int().min(1), min_delta: z.number().min(0).default(0) })
    .optional(),
  target_accuracy: share.optional(),
});

/** What a training is told. */
export type Settings = z.infer<typeof settingsSchema>;

/**
 * Reads the settings of a training.
 *
 * @throws Refusal that names what is wrong in the file.
 */
export async function readSettings(path: string): Promise<Settings> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError))
      throw new Refusal('The settings of the training cannot be read: is their file an input of the job?');
    throw new Refusal('The settings of the training are not JSON.');
  }
  const found = settingsSchema.safeParse(value);
  if (!found.success) throw new Refusal(`The settings of the training are wrong: ${wrong(found.error)}.`);
  const { categories } = found.data;
  const twice = categories.find((name, index) => categories.indexOf(name) !== index);
  if (twice !== undefined)
    throw new Refusal(
      `The settings of the training are wrong: the category ${JSON.stringify(twice)} is there twice.`,
    );
  return found.data;
}

/**
 * The network that the settings name, for pictures of this size.
 *
 * @throws Refusal where it is made for other pictures, or another number of categories.
 */
export function genomeFor(network: Settings['network'], task: Task): Genome {
  if ('preset' in network) return presetGenome(network.preset, task);
  const { input_shape: input, output_size: outputs } = network;
  const { width, height, channels, categories } = task;
  const fits =
    typeof input === 'number'
      ? input === width * height * channels
      : input.join() === [width, height, channels].join();
  if (!fits)
    throw new Refusal(
      `The network is made for pictures of ${typeof input === 'number' ? `${input} values` : input.join(' × ')}, and these have ${sizeText(task)}.`,
    );
  if (outputs !== categories)
    throw new Refusal(`The network is made for ${outputs} categories, and there are ${categories}.`);
  return network;
}
