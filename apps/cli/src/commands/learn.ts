import { randomUUID } from 'node:crypto';
import { type Learnuplet, NIL_UUID } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { type ExitCode, usageError } from '../exit-codes.ts';
import { endModelOf } from '../orders/end-model.ts';
import { resolveResource, resolveResources } from '../platform/ids.ts';
import { type AfterOrder, afterOrder, orderOptions } from './after-order.ts';
import { type Asks, askOptions, examples, readInteger, readUuid } from './arguments.ts';

interface LearnOptions extends AfterOrder, Asks {
  readonly problemWorkflow: string;
  readonly algo: string;
  readonly train: readonly string[];
  readonly test: readonly string[];
  readonly rank?: number;
  readonly modelStart?: string;
  readonly problem?: string;
  readonly uuid?: string;
}

/** Adds `morpheo learn`. */
export function addLearn(program: Command, run: Runner): void {
  const command = program
    .command('learn')
    .summary('order a training')
    .description(
      'Order a training. The same order again (with --uuid) is the same order, so it can be repeated.',
    )
    .requiredOption('--problem-workflow <uuid>', 'the problem workflow on storage')
    .requiredOption('--algo <uuid>', 'the algorithm on storage')
    .requiredOption('--train <uuid...>', 'the data sets to train on')
    .requiredOption('--test <uuid...>', 'the data sets to measure on')
    .option(
      '--rank <n>',
      'place in a chain of trainings; above 0 it goes on from --model-start',
      readInteger(0, 1_000_000),
    )
    .option('--model-start <uuid>', 'the model to go on from (then --rank is 1 where absent)')
    .option('--problem <uuid>', "the orchestrator's problem (default: the id of the workflow)", readUuid)
    .option('--uuid <uuid>', 'the id to have (default: a new one)', readUuid);
  orderOptions(askOptions(command)).action(run((context, options: LearnOptions) => learn(context, options)));
  examples(command, [
    ['morpheo learn --problem-workflow 7d4a --algo a1b6 --train 1111 --test 2222 --watch', 'train and watch'],
    [
      'morpheo learn … --rank 1 --model-start f3b0 --train 4444 --test 2222',
      'go on from the model of the rank before',
    ],
  ]);
}

async function learn(context: Context, options: LearnOptions): Promise<ExitCode | undefined> {
  const { compute, storage, signal } = context;
  const rank = options.rank ?? (options.modelStart === undefined ? 0 : 1);
  if (rank > 0 && options.modelStart === undefined) {
    throw usageError(`Rank ${rank} goes on from a model, and none is named.`, 'Name it with --model-start.');
  }
  if (rank === 0 && options.modelStart !== undefined) {
    throw usageError('Rank 0 starts from nothing, and --model-start is given.', 'Leave one of the two out.');
  }
  const workflow = await resolveResource(storage, 'problem', options.problemWorkflow, signal);
  const id = options.uuid ?? randomUUID();
  const body: Learnuplet = {
    uuid: id,
    problem: options.problem ?? workflow,
    workflow,
    algo: await resolveResource(storage, 'algo', options.algo, signal),
    train_data: await resolveResources(storage, 'data', options.train, signal),
    test_data: await resolveResources(storage, 'data', options.test, signal),
    model_start: await startModel(context, options.modelStart),
    model_end: endModelOf(id),
    rank,
    worker: NIL_UUID,
    status: 'todo',
    timestamp_request: Math.floor(Date.now() / 1000),
    timestamp_done: 0,
    gpus: options.gpus,
    owner: options.owner,
    priority: options.priority,
  };
  await compute().learn({ body }, { signal });
  return await afterOrder(context, { id, kind: 'learn', model_end: body.model_end }, options);
}

async function startModel({ storage, signal }: Context, text: string | undefined): Promise<string> {
  return text === undefined ? NIL_UUID : await resolveResource(storage, 'model', text, signal);
}
