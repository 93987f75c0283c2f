import { randomUUID } from 'node:crypto';
import { issueMessage, MOST_IN_SEARCH, networkSearchRequest } from '@morpheo/common';
import { type Command, Option } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { type ExitCode, usageError } from '../../exit-codes.ts';
import { setOf } from '../../pictures/sets.ts';
import { examples, readInteger } from '../arguments.ts';
import { networksOf } from './search-file.ts';
import { showBegun } from './watch.ts';

interface PicturesOptions {
  readonly set: string;
  readonly testSet?: string;
  readonly name?: string;
  readonly strategy?: string;
  readonly seed: number;
  readonly trials?: number;
  readonly epochs?: number;
  readonly parallel: number;
  readonly control?: boolean;
  readonly convolutions?: boolean;
  readonly population?: string;
  readonly detach?: boolean;
}

/** How many trials a search makes that is told nothing of its budget. */
const TRIALS = 30;

/** Networks have no grid. */
const STRATEGIES = ['aging-evolution', 'dicebox', 'random'];

/** Of networks that may have more than the dense layers of dicebox. */
const CONVOLUTIONS = { layer_types: ['dense', 'dropout', 'conv2d', 'max_pooling2d'] };

/** Adds `morpheo search pictures`. */
export function addPicturesSearch(group: Command, run: Runner): void {
  const command = group
    .command('pictures')
    .summary('search for a network that classifies the pictures of a set')
    .description(
      'Search for a network that classifies the pictures of a set, and watch it: each trial trains a network on the pictures that there are now, a few epochs first, and those that do well go on.',
    )
    .requiredOption('--set <set>', 'the pictures: a name, or name_WxH, or id')
    .option('--test-set <set>', 'pictures to measure on (default: a tenth of the set is held out)')
    .option('--name <text>', 'a name, to find it again')
    .addOption(
      new Option('--strategy <name>', 'how networks are chosen (default: aging-evolution)').choices(
        STRATEGIES,
      ),
    )
    .option('--seed <n>', 'the seed of all that is drawn', readInteger(0, Number.MAX_SAFE_INTEGER), 0)
    .option(
      '--trials <n>',
      `how many networks are tried (default: ${TRIALS}, unless --epochs)`,
      readInteger(1, MOST_IN_SEARCH.trials),
    )
    .option('--epochs <n>', 'how many epochs all of them have together', readInteger(1, 1_000_000_000))
    .option('--parallel <n>', 'how many are trained at once', readInteger(1, MOST_IN_SEARCH.parallel), 2)
    .option('--control', 'random networks with the same budget beside, to compare with')
    .option('--convolutions', 'convolutions and pooling as well, and not dense layers alone')
    .option('--population <file>', 'networks that are tried first: a population.json')
    .option('-d, --detach', 'do not watch it')
    .action(run(searchPictures));
  examples(command, [
    [
      'morpheo search pictures --set fashion --seed 7 --control',
      'search, and watch, with a random arm beside',
    ],
    ['morpheo search pictures --set fashion --convolutions --epochs 300 --detach', 'a larger space, and go'],
  ]);
}

async function searchPictures(context: Context, options: PicturesOptions): Promise<ExitCode | undefined> {
  const { name, strategy, seed, trials, epochs, parallel, control, population } = options;
  const set = await setOf(context, options.set);
  const test = options.testSet === undefined ? undefined : await setOf(context, options.testSet);
  const start = population === undefined ? undefined : await networksOf(population);
  const parsed = networkSearchRequest.safeParse({
    ...{ uuid: randomUUID(), set: set.id, seed, parallel },
    budget: {
      ...(epochs === undefined ? { trials: trials ?? TRIALS } : { resource: epochs }),
      ...(trials === undefined ? {} : { trials }),
    },
    ...(name === undefined ? {} : { name }),
    ...(test === undefined ? {} : { test_set: test.id }),
    ...(strategy === undefined ? {} : { strategy: { name: strategy } }),
    ...(control === undefined ? {} : { control }),
    ...(options.convolutions === true ? { networks: CONVOLUTIONS } : {}),
    ...(start === undefined ? {} : { start: start.map((network) => ({ network })) }),
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.map(String).join('.') ?? '';
    throw usageError(`This is no search: ${where}: ${issue === undefined ? '' : issueMessage(issue)}`);
  }
  const body = parsed.data;
  const view = await context.pictures().searchNetworks({ body }, { signal: context.signal });
  return await showBegun(context, view, options.detach === true);
}
