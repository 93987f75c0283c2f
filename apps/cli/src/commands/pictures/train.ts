import { randomUUID } from 'node:crypto';
import {
  isPlatformError,
  MOST_GPUS,
  MOST_IN_TRAINING,
  NETWORK_PRESETS,
  type TrainingRequest,
  trainingRequest,
  USUAL_TRAINING,
} from '@morpheo/common';
import { type Command, InvalidArgumentError } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { EXIT, type ExitCode, usageError } from '../../exit-codes.ts';
import { nameOfSet, setOf } from '../../pictures/sets.ts';
import { followTraining, orderTraining, trainingNews, trainingText } from '../../pictures/train.ts';
import { counted, oneLine } from '../../terminal/text.ts';
import { examples, readInteger, readNamedFile } from '../arguments.ts';

/** Adds `morpheo pictures train`. */
export function addTrain(group: Command, run: Runner): void {
  const command = group
    .command('train')
    .summary('train a network on a set of pictures, and watch it')
    .description(
      'Train a network on the pictures that a set has now, and watch it. Its accuracy is that on pictures that it did not learn from: a part of the set that is held out, or a set of their own. The classification service takes a better network into use by itself.',
    )
    .argument('<set>', 'its name, or name_WxH, or id')
    .option('--test <set>', 'measure on the pictures of this set (default: a part of the set is held out)')
    .option(
      '--network <what>',
      `${NETWORK_PRESETS.join(' or ')}, or a file with a genome as JSON ${usually(USUAL_TRAINING.network)}`,
    )
    .option(
      '--epochs <n>',
      `for how many epochs ${usually(USUAL_TRAINING.epochs)}`,
      readInteger(1, MOST_IN_TRAINING.epochs),
    )
    .option(
      '--batch <n>',
      `pictures of a step ${usually(USUAL_TRAINING.batchSize)}`,
      readInteger(1, MOST_IN_TRAINING.batchSize),
    )
    .option(
      '--seed <n>',
      'of all that is drawn (default: another for each training)',
      readInteger(0, Number.MAX_SAFE_INTEGER),
    )
    .option('--start <training>', 'go on from this training of the same network, by its id')
    .option('--noise <share>', 'the share of pictures that is turned and scaled anew, 0 to 1', readShare)
    .option('--target <share>', 'end when so many are right, 0 to 1', readShare)
    .option(
      '--patience <n>',
      'end when so many epochs were no better',
      readInteger(1, MOST_IN_TRAINING.epochs),
    )
    .option('--gpus <n>', 'how many GPUs it is to have', readInteger(0, MOST_GPUS))
    .option('-d, --detach', 'do not watch it')
    .action(run(train));
  examples(command, [
    ['morpheo pictures train fashion --epochs 5', 'train the network of the service, and watch'],
    [
      'morpheo pictures train fashion --test fashion-test --network mlp',
      'another network, measured on other pictures',
    ],
  ]);
}

function usually(value: string | number): string {
  return `(default: ${value}, unless dicebox is set otherwise)`;
}

interface TrainOptions {
  readonly test?: string;
  readonly network?: string;
  readonly epochs?: number;
  readonly batch?: number;
  readonly seed?: number;
  readonly start?: string;
  readonly noise?: number;
  readonly target?: number;
  readonly patience?: number;
  readonly gpus?: number;
  readonly detach?: true;
}

async function train(context: Context, text: string, options: TrainOptions): Promise<ExitCode | undefined> {
  const { terminal } = context;
  const { test, network, epochs, batch, seed, start, noise, target, patience, gpus } = options;
  const set = await setOf(context, text);
  const first = await orderTraining(context, {
    ...{ id: randomUUID(), set: set.id },
    ...(test !== undefined && { test_set: (await setOf(context, test)).id }),
    ...(network !== undefined && { network: await networkOf(network) }),
    ...(epochs !== undefined && { epochs }),
    ...(batch !== undefined && { batch_size: batch }),
    ...(seed !== undefined && { seed }),
    ...(start !== undefined && { start }),
    ...(noise !== undefined && { noise }),
    ...(target !== undefined && { target_accuracy: target }),
    ...(patience !== undefined && { early_stopping: { patience } }),
    ...(gpus !== undefined && { gpus }),
  });
  const { paint } = terminal;
  if (options.detach === true) {
    await terminal.result(first, () => `${paint('green', '✓')} training ${paint('bold', first.id)}`);
    return undefined;
  }
  terminal.note(`training ${first.id} on ${nameOfSet(set)}, ${counted(first.pictures, 'picture')}`);
  const last = await followTraining(context, first, async (view, before) => {
    for (const line of trainingNews(view, before)) {
      if (terminal.json) terminal.note(line);
      else await terminal.line(line);
    }
  });
  await terminal.result(last, () => trainingText(paint, last));
  return last.status === 'done' ? undefined : EXIT.failed;
}

function readShare(text: string): number {
  const share = Number(text);
  if (text.trim() !== '' && share >= 0 && share <= 1) return share;
  throw new InvalidArgumentError('It should be a number of 0 to 1.');
}

async function networkOf(text: string): Promise<TrainingRequest['network']> {
  const preset = NETWORK_PRESETS.find((name) => name === text);
  if (preset !== undefined) return { preset };
  const none = `is neither a preset (${NETWORK_PRESETS.join(', ')}) nor a file`;
  const bytes = await readNamedFile(text, `${none} that is there`);
  const genome = trainingRequest.shape.network.safeParse(readJson(bytes.toString('utf8')));
  if (genome.success) return genome.data;
  throw usageError(
    `${text} ${none} with a genome.`,
    'A genome is JSON with input_shape, output_size, optimizer and layers.',
  );
}

/** What a text is as JSON; null where it is none. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Adds `morpheo pictures classify`. */
export function addClassify(group: Command, run: Runner): void {
  const ask = group
    .command('classify')
    .summary('ask the network in use what is on pictures')
    .description('Ask the classification service, which uses the best network there is, what is on pictures.')
    .argument('<file...>', 'PNG or JPEG, of any size')
    .action(run(classify));
  examples(ask, [['morpheo pictures classify coat.png', 'the category, and how sure the network is']]);
}

async function classify(context: Context, files: readonly string[]): Promise<undefined> {
  const { terminal, classification, signal } = context;
  const { paint } = terminal;
  for (const file of files) {
    const data = (await readNamedFile(file)).toString('base64');
    const told = await classification()
      .classifyPicture({ body: { data } }, { signal })
      .catch((error: unknown) => {
        if (isPlatformError(error) && error.code === 'invalid_request') {
          throw usageError(`${file}: ${error.message}`, undefined, error);
        }
        throw error;
      });
    const sure = told.probabilities.find(({ category }) => category === told.category)?.probability ?? 0;
    await terminal.item({ file, ...told }, () => {
      const share = `${(sure * 100).toFixed(1)} %`;
      return `${oneLine(file)}: ${paint('bold', told.category)}  ${share}, ${told.ms.toFixed(1)} ms`;
    });
  }
  return undefined;
}
