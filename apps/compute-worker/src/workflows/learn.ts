import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Learnuplet,
  NIL_UUID,
  OrderFailure,
  type OrderResult,
  type Performance,
  PlatformError,
} from '@morpheo/common';
import type { Cached } from '../cache/index.ts';
import type { BlobName } from '../download.ts';
import type { Image } from '../images.ts';
import type { InputBlob } from '../inputs.ts';
import { collectFile } from '../outputs.ts';
import { type Placing, placeFile, placeTree } from '../place.ts';
import { takePredictions } from '../predictions.ts';
import { parsePerformance, stageResult } from '../results.ts';
import { makeStepFolders } from '../steps.ts';
import { toldStep } from '../told-step.ts';
import { type AttemptTools, readOnlyPlacing, runStep } from './attempt-tools.ts';
import { detarget } from './detarget.ts';
import { gather } from './gather.ts';
import { packModel, unpackModel } from './models.ts';

const PERFORMANCE_BYTES = 1024 * 1024;

/** What is here before the first container of a training. */
interface Learning {
  readonly problem: Image;
  readonly algo: Image;
  readonly train: readonly InputBlob[];
  readonly test: readonly InputBlob[];
  /** The model to go on from, where the order is not the first of its ranks. */
  readonly start: InputBlob | undefined;
}

/** Trains a model and measures it: detarget, train, perf. Resolves when the model is staged on storage. */
export async function learn(order: Learnuplet, tools: AttemptTools): Promise<OrderResult> {
  if (order.model_end === NIL_UUID)
    throw new PlatformError('internal', 'The order has no model_end to store to.');
  const learning = await gatherLearning(order, tools);
  const untargeted = await detarget(learning.problem, learning.test, tools);
  const trained = await train(learning, untargeted, tools);
  const performance = await measure(learning, untargeted, trained, tools);
  return await toldStep(tools.feed, 'results', async () => {
    const path = join(trained, 'model.tar.gz');
    const { sha256, size } = await packModel(join(trained, 'model'), path, tools);
    const { model_end: uuid, algo } = order;
    await stageResult({ type: 'model', uuid, algo, path, sha256, size }, tools);
    return { uuid, sha256, size, performance };
  });
}

async function gatherLearning(order: Learnuplet, tools: AttemptTools): Promise<Learning> {
  const problem: BlobName = { type: 'problem', uuid: order.workflow };
  const algo: BlobName = { type: 'algo', uuid: order.algo };
  const [train, test] = [dataNames(order.train_data), dataNames(order.test_data)];
  const start = startModel(order);
  const blobs = [...train, ...test, ...(start === undefined ? [] : [start])];
  const inputs = await gather({ contexts: [problem, algo], blobs }, tools);
  return {
    problem: inputs.image(problem),
    algo: inputs.image(algo),
    train: train.map(inputs.blob),
    test: test.map(inputs.blob),
    start: start === undefined ? undefined : inputs.blob(start),
  };
}

function dataNames(uuids: readonly string[]): BlobName[] {
  return [...new Set(uuids)].map((uuid) => ({ type: 'data', uuid }));
}

function startModel({ rank, model_start }: Learnuplet): BlobName | undefined {
  if (rank <= 0) return undefined;
  if (model_start !== NIL_UUID) return { type: 'model', uuid: model_start };
  const message = `The order is of rank ${rank} but names no model_start to go on from.`;
  throw new OrderFailure({ reason: 'input_not_found', message, step: 'inputs' });
}

/** Returns the step's folder: `taken/train` and `taken/test` are the predictions, and `model` is as it was left. */
async function train(learning: Learning, untargeted: Cached, tools: AttemptTools): Promise<string> {
  const prepare = async (folder: string) => {
    if (learning.start !== undefined) await unpackModel(learning.start, join(folder, 'model'), tools);
    await makeStepFolders('train', folder);
    await placeBlobs(learning.train, join(folder, 'train'), 'copy');
    await placeTree(untargeted.path, join(folder, 'untargeted_test'), 'copy');
  };
  return await toldStep(tools.feed, 'train', async (facts) => {
    const folder = await runStep({ step: 'train', image: learning.algo.prepared, prepare }, tools, facts);
    const maxBytes = tools.limits.run.diskBytes;
    for (const [from, at, blobs, to] of [
      ['train', '/data/train', learning.train, 'taken/train'],
      ['untargeted_test', '/data/test', learning.test, 'taken/test'],
    ] as const) {
      const written = { folder: join(folder, from), at, uuids: blobs.map(({ uuid }) => uuid), maxBytes };
      await takePredictions(written, join(folder, to));
    }
    return folder;
  });
}

/** Measures predictions against data as they came from storage, whatever the algorithm has done to its own. */
async function measure(
  learning: Learning,
  untargeted: Cached,
  trained: string,
  tools: AttemptTools,
): Promise<Performance> {
  const placing = readOnlyPlacing(tools.runtime);
  const prepare = async (folder: string) => {
    await makeStepFolders('perf', folder);
    const [trainFolder, testFolder] = [join(folder, 'train'), join(folder, 'untargeted_test')];
    await placeBlobs(learning.train, trainFolder, placing);
    await placeBlobs(learning.test, join(folder, 'test'), placing);
    await placeTree(untargeted.path, testFolder, placing);
    await placeTree(join(trained, 'taken/train'), join(trainFolder, 'pred'), placing);
    await placeTree(join(trained, 'taken/test'), join(testFolder, 'pred'), placing);
  };
  const folder = await toldStep(tools.feed, 'perf', async (facts) => {
    return await runStep({ step: 'perf', image: learning.problem.prepared, prepare }, tools, facts);
  });
  const limits = { maxBytes: PERFORMANCE_BYTES, at: '/hidden_data/perf' };
  return parsePerformance(await collectFile(join(folder, 'perf'), 'performance.json', limits));
}

async function placeBlobs(blobs: readonly InputBlob[], folder: string, placing: Placing): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { path, uuid } of blobs) await placeFile(path, join(folder, uuid), placing);
}
