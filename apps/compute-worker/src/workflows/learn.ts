import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Learnuplet,
  NIL_UUID,
  OrderFailure,
  type OrderResult,
  type Performance,
  PlatformError,
} from '@morpheo/common';
import type { Attempt } from '../attempt/attempt.ts';
import { type Placing, placeFiles, placeTree } from '../files/copy-in.ts';
import type { Cached } from '../inputs/cache/index.ts';
import type { BlobName } from '../inputs/download.ts';
import type { InputBlob } from '../inputs/fetch.ts';
import { gather } from '../inputs/gather.ts';
import type { Image } from '../inputs/images.ts';
import { collectFile } from '../outputs/collect.ts';
import { parsePerformance } from '../outputs/performance.ts';
import { takePredictions } from '../outputs/predictions.ts';
import { CONTAINER_STEPS, trainStep } from '../steps/contract.ts';
import { makeStepFolders } from '../steps/run-step.ts';
import { detarget } from './detarget.ts';
import { demandModel, packModel, placeModel } from './model-files.ts';

const PERFORMANCE_BYTES = 1024 * 1024;

/** What is here before the first container of a training. */
interface Learning extends LearningData {
  readonly problem: Image;
  readonly algo: Image;
}

interface LearningData {
  readonly train: readonly InputBlob[];
  readonly test: readonly InputBlob[];
  /** The model to go on from, where the order is not the first of its ranks. */
  readonly start: InputBlob | undefined;
}

/** Trains a model and measures it: detarget, train, perf. Resolves when the model is staged on storage. */
export async function learn(order: Learnuplet, attempt: Attempt): Promise<OrderResult> {
  if (order.model_end === NIL_UUID)
    throw new PlatformError('internal', 'The order has no model_end to store to.');
  const learning = await gatherLearning(order, attempt);
  const untargeted = await detarget(learning.problem, learning.test, attempt);
  const trained = await train(order, learning, untargeted, attempt);
  const performance = await measure(learning, untargeted, trained, attempt);
  return await attempt.span('results').piece(async () => {
    const path = join(trained, 'model.tar.gz');
    const { sha256, size } = await packModel(join(trained, 'model'), path, attempt);
    const { model_end: uuid, algo } = order;
    await attempt.stage({ type: 'model', uuid, algo, path, sha256, size });
    return { uuid, sha256, size, performance };
  });
}

async function gatherLearning(order: Learnuplet, attempt: Attempt): Promise<Learning> {
  const problem: BlobName = { type: 'problem', uuid: order.workflow };
  const algo: BlobName = { type: 'algo', uuid: order.algo };
  const [train, test] = [dataNames(order.train_data), dataNames(order.test_data)];
  const start = startModel(order);
  const blobs = [...train, ...test, ...(start === undefined ? [] : [start])];
  const dataOf = (blob: (name: BlobName) => InputBlob): LearningData => ({
    train: train.map(blob),
    test: test.map(blob),
    start: start === undefined ? undefined : blob(start),
  });
  const onBlobs = (blob: (name: BlobName) => InputBlob) => prepareSteps(order, dataOf(blob), attempt);
  const onImage = ({ type }: BlobName, { prepared }: Image) =>
    attempt.warmUp(type === 'algo' ? trainStep(order) : CONTAINER_STEPS.perf, prepared);
  const inputs = await gather({ contexts: [problem, algo], blobs, onBlobs, onImage }, attempt);
  return { problem: inputs.image(problem), algo: inputs.image(algo), ...dataOf(inputs.blob) };
}

/** Fills the folders of *train* and *perf* with what is there before *detarget* has run. */
function prepareSteps(order: Learnuplet, { start, train, test }: LearningData, attempt: Attempt): void {
  const { placing } = attempt;
  attempt.prepare('train', async (folder) => {
    if (start !== undefined) await placeModel(start, join(folder, 'model'), attempt, 'train');
    await makeStepFolders(CONTAINER_STEPS.train, folder);
    await placeBlobs(train, join(folder, 'train'), 'copy');
    const { parameters } = order;
    if (parameters !== undefined)
      await writeFile(join(folder, 'parameters.json'), parameters, { mode: 0o644 });
  });
  attempt.prepare('perf', async (folder) => {
    await makeStepFolders(CONTAINER_STEPS.perf, folder);
    await placeBlobs(train, join(folder, 'train'), placing);
    await placeBlobs(test, join(folder, 'test'), placing);
  });
}

function dataNames(uuids: readonly string[]): BlobName[] {
  return [...new Set(uuids)].map((uuid) => ({ type: 'data', uuid }));
}

function startModel({ rank, model_start }: Learnuplet): BlobName | undefined {
  if (rank <= 0) return undefined;
  if (model_start !== NIL_UUID) return { type: 'model', uuid: model_start };
  const message = `The order is of rank ${rank} but names no model_start to go on from.`;
  throw new OrderFailure('start_model_unnamed', { message, step: 'inputs' });
}

/** Returns the step's folder: `taken/train` and `taken/test` are the predictions, and `model` is as it was left. */
async function train(
  order: Learnuplet,
  learning: Learning,
  untargeted: Cached,
  attempt: Attempt,
): Promise<string> {
  attempt.prepare('train', async (folder) => {
    await placeTree(untargeted.path, join(folder, 'untargeted_test'), 'copy');
  });
  return await attempt.step(trainStep(order), async (run) => {
    const folder = await run(learning.algo.prepared);
    const maxBytes = attempt.treeLimits.bytes;
    for (const [from, at, blobs, to] of [
      ['train', '/data/train', learning.train, 'taken/train'],
      ['untargeted_test', '/data/test', learning.test, 'taken/test'],
    ] as const) {
      const written = { folder: join(folder, from), at, uuids: blobs.map(({ uuid }) => uuid), maxBytes };
      await takePredictions(written, join(folder, to));
    }
    await demandModel(join(folder, 'model'), attempt);
    return folder;
  });
}

/** Measures predictions against data as they came from storage, whatever the algorithm has done to its own. */
async function measure(
  learning: Learning,
  untargeted: Cached,
  trained: string,
  attempt: Attempt,
): Promise<Performance> {
  const { placing } = attempt;
  attempt.prepare('perf', async (folder) => {
    const [trainFolder, testFolder] = [join(folder, 'train'), join(folder, 'untargeted_test')];
    await placeTree(untargeted.path, testFolder, placing);
    await placeTree(join(trained, 'taken/train'), join(trainFolder, 'pred'), placing);
    await placeTree(join(trained, 'taken/test'), join(testFolder, 'pred'), placing);
  });
  const folder = await attempt.step(
    CONTAINER_STEPS.perf,
    async (run) => await run(learning.problem.prepared),
  );
  const limits = { maxBytes: PERFORMANCE_BYTES, at: '/hidden_data/perf' };
  const bytes = await collectFile(join(folder, 'perf'), 'performance.json', limits);
  const scored = { train_perf: learning.train.map(uuidOf), test_perf: learning.test.map(uuidOf) };
  const { performance, missing } = parsePerformance(bytes, scored);
  if (missing !== undefined) attempt.log('perf', `perf: ${missing}`);
  return performance;
}

function uuidOf({ uuid }: InputBlob): string {
  return uuid;
}

async function placeBlobs(blobs: readonly InputBlob[], folder: string, placing: Placing): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files = blobs.map(({ path, uuid }) => ({ source: path, target: join(folder, uuid) }));
  await placeFiles(files, placing);
}
