import { randomUUID } from 'node:crypto';
import { NIL_UUID, type Preduplet } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import type { ExitCode } from '../exit-codes.ts';
import { resolveResource } from '../platform/ids.ts';
import { type AfterOrder, afterOrder, orderOptions } from './after-order.ts';
import { type Asks, askOptions, examples, readUuid } from './arguments.ts';

interface PredictOptions extends AfterOrder, Asks {
  readonly model: string;
  readonly data: string;
  readonly workflow: string;
  readonly problem?: string;
  readonly uuid?: string;
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
    .requiredOption('--workflow <uuid>', 'the problem workflow on storage')
    .option('--problem <uuid>', "the orchestrator's problem (default: the id of the workflow)", readUuid)
    .option('--uuid <uuid>', 'the id to have (default: a new one)', readUuid);
  orderOptions(askOptions(command)).action(
    run((context, options: PredictOptions) => predict(context, options)),
  );
  examples(command, [
    ['morpheo predict --model f3b0 --data 3333 --workflow 7d4a --watch', 'predict and watch'],
    ['morpheo get prediction <uuid> -o prediction', 'fetch what came of it'],
  ]);
}

async function predict(context: Context, options: PredictOptions): Promise<ExitCode | undefined> {
  const { compute, storage, signal } = context;
  const workflow = await resolveResource(storage, 'problem', options.workflow, signal);
  const body: Preduplet = {
    uuid: options.uuid ?? randomUUID(),
    problem: options.problem ?? workflow,
    workflow,
    model: await resolveResource(storage, 'model', options.model, signal),
    data: await resolveResource(storage, 'data', options.data, signal),
    worker: NIL_UUID,
    status: 'todo',
    timestamp_request: Math.floor(Date.now() / 1000),
    timestamp_done: 0,
    prediction_storage_uuid: NIL_UUID,
    gpus: options.gpus,
    owner: options.owner,
    priority: options.priority,
  };
  await compute().pred({ body }, { signal });
  return await afterOrder(context, { id: body.uuid, kind: 'predict' }, options);
}
