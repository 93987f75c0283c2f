import { createHash, randomUUID } from 'node:crypto';
import {
  type Learnuplet,
  MOST_GPUS,
  MOST_PRIORITY,
  NIL_UUID,
  type OrderKind,
  type OrderNeeds,
  type Preduplet,
} from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { type ExitCode, usageError } from '../exit-codes.ts';
import { watchOrder } from '../orders/follow.ts';
import { resolveResource, resolveResources } from '../platform/ids.ts';
import { examples, readGroupName, readInteger, readNeeds, readUuid } from './arguments.ts';

/** The options that every kind of order takes. */
export interface OrderOptions {
  readonly uuid?: string;
  readonly gpus?: number;
  readonly needs?: OrderNeeds;
  readonly priority?: number;
  readonly owner?: string;
  readonly group?: string;
  readonly quiet?: boolean;
}

interface NewOrderOptions extends OrderOptions {
  readonly problem?: string;
  readonly watch?: boolean;
}

interface LearnOptions extends NewOrderOptions {
  readonly problemWorkflow: string;
  readonly algo: string;
  readonly train: readonly string[];
  readonly test: readonly string[];
  readonly rank?: number;
  readonly modelStart?: string;
}

interface PredictOptions extends NewOrderOptions {
  readonly model: string;
  readonly data: string;
  readonly workflow: string;
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
    .option('--model-start <uuid>', 'the model to go on from (then --rank is 1 where absent)');
  newOrderOptions(command).action(run(learn));
  examples(command, [
    ['morpheo learn --problem-workflow 7d4a --algo a1b6 --train 1111 --test 2222 --watch', 'train and watch'],
    [
      'morpheo learn … --needs runtime=docker,arch=amd64,label.zone=a',
      'only on a worker that offers all of these (see: morpheo workers)',
    ],
    [
      'morpheo learn … --rank 1 --model-start f3b0 --train 4444 --test 2222',
      'go on from the model of the rank before',
    ],
  ]);
}

/** Adds `morpheo predict`. */
export function addPredict(program: Command, run: Runner): void {
  const command = program
    .command('predict')
    .summary('order a prediction')
    .description(
      'Order a prediction. The same order again (with --uuid) is the same order, so it can be repeated.',
    )
    .requiredOption('--model <uuid>', 'the model that predicts')
    .requiredOption('--data <uuid>', 'the data set to predict')
    .requiredOption('--workflow <uuid>', 'the problem workflow on storage');
  newOrderOptions(command).action(run(predict));
  examples(command, [
    ['morpheo predict --model f3b0 --data 3333 --workflow 7d4a --watch', 'predict and watch'],
    ['morpheo get prediction <uuid> -o prediction', 'fetch its result'],
  ]);
}

function newOrderOptions(command: Command): Command {
  return orderOptions(
    command.option(
      '--problem <uuid>',
      "the orchestrator's problem (default: the id of the workflow)",
      readUuid,
    ),
    "how many GPUs the algorithm is to have (default: the problem's)",
  ).option('-w, --watch', 'watch the order until it ends; the exit code tells how');
}

/** Adds the options of {@link OrderOptions}. */
export function orderOptions(command: Command, gpus: string, quiet = "print the order's id alone"): Command {
  return command
    .option('--uuid <uuid>', 'the id to have (default: a new one)', readUuid)
    .option('--gpus <n>', gpus, readInteger(0, MOST_GPUS))
    .option(
      '--needs <terms>',
      'what its worker has to offer: runtime=docker or process, arch=amd64 (or another), label.<key>=<value>; with commas, or the option again (default: nothing)',
      readNeeds,
    )
    .option(
      '--priority <n>',
      `among the orders of its owner, from -${MOST_PRIORITY} to ${MOST_PRIORITY} (default: 0)`,
      readInteger(-MOST_PRIORITY, MOST_PRIORITY),
    )
    .option(
      '--owner <name>',
      'on whose share it is run (default: who calls; another takes the role orchestrator)',
    )
    .option('--group <name>', 'a group that it belongs to; see morpheo group', readGroupName)
    .option('-q, --quiet', quiet);
}

async function learn(context: Context, options: LearnOptions): Promise<ExitCode | undefined> {
  const rank = options.rank ?? (options.modelStart === undefined ? 0 : 1);
  if (rank > 0 && options.modelStart === undefined) {
    throw usageError(`Rank ${rank} goes on from a model, and none is named.`, 'Name it with --model-start.');
  }
  if (rank === 0 && options.modelStart !== undefined) {
    throw usageError('Rank 0 starts from nothing, and --model-start is given.', 'Leave one of the two out.');
  }
  const workflow = await resolveResource(context, 'problem', options.problemWorkflow);
  const common = newOrder(workflow, options);
  const body: Learnuplet = {
    ...common,
    algo: await resolveResource(context, 'algo', options.algo),
    train_data: await resolveResources(context, 'data', options.train),
    test_data: await resolveResources(context, 'data', options.test),
    model_start:
      options.modelStart === undefined
        ? NIL_UUID
        : await resolveResource(context, 'model', options.modelStart),
    model_end: endModelOf(common.uuid),
    rank,
  };
  await context.compute().learn({ body }, { signal: context.signal });
  return await accepted(context, { id: body.uuid, kind: 'learn', model_end: body.model_end }, options);
}

async function predict(context: Context, options: PredictOptions): Promise<ExitCode | undefined> {
  const workflow = await resolveResource(context, 'problem', options.workflow);
  const body: Preduplet = {
    ...newOrder(workflow, options),
    model: await resolveResource(context, 'model', options.model),
    data: await resolveResource(context, 'data', options.data),
    prediction_storage_uuid: NIL_UUID,
  };
  await context.compute().pred({ body }, { signal: context.signal });
  return await accepted(context, { id: body.uuid, kind: 'predict' }, options);
}

/** The members that a new order of every kind has. */
function newOrder(workflow: string, options: NewOrderOptions) {
  return {
    uuid: options.uuid ?? randomUUID(),
    problem: options.problem ?? workflow,
    workflow,
    worker: NIL_UUID,
    status: 'todo' as const,
    timestamp_request: Math.floor(Date.now() / 1000),
    timestamp_done: 0,
    gpus: options.gpus,
    needs: options.needs,
    owner: options.owner,
    priority: options.priority,
    group: options.group,
  };
}

/**
 * The id that the model of a training order will have where the caller names none: made from the order's id (UUID
 * version 8, RFC 9562 §5.8), so that the same order sent again is the same in every member.
 */
function endModelOf(order: string): string {
  const bytes = createHash('sha256').update(`the model of order ${order}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** An order that the platform has accepted. */
interface AcceptedOrder {
  readonly id: string;
  readonly kind: OrderKind;
  /** learn: the id that its model will have. */
  readonly model_end?: string;
}

/** Says that an order was accepted, and watches it where that is asked for. */
async function accepted(
  context: Context,
  order: AcceptedOrder,
  { quiet = false, watch = false }: NewOrderOptions,
): Promise<ExitCode | undefined> {
  const { terminal } = context;
  if (!watch || !terminal.json) {
    await terminal.result(order, () => (quiet ? order.id : describe(context, order)));
  }
  if (watch) return await watchOrder(context, order.id);
  if (!quiet && !terminal.json) terminal.note(`Watch it with: morpheo orders watch ${order.id.slice(0, 8)}`);
  return undefined;
}

function describe({ terminal: { paint } }: Context, { id, kind, model_end }: AcceptedOrder): string {
  const head = `${paint('green', '✓')} ${kind} order ${paint('bold', id)}`;
  return model_end === undefined ? head : `${head}\n  ${paint('dim', `its model will be  ${model_end}`)}`;
}
