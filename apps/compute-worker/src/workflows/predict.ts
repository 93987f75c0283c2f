import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NIL_UUID, OrderFailure, type OrderResult, PlatformError, type Preduplet } from '@morpheo/common';
import type { Attempt } from '../attempt/attempt.ts';
import { placeFile } from '../files/copy-in.ts';
import type { BlobName } from '../inputs/download.ts';
import { hashFile, type InputBlob } from '../inputs/fetch.ts';
import { gather } from '../inputs/gather.ts';
import type { Image } from '../inputs/images.ts';
import { takePredictions } from '../outputs/predictions.ts';
import { CONTAINER_STEPS } from '../steps/contract.ts';
import { makeStepFolders } from '../steps/run-step.ts';
import { takeOutput } from '../warm/call-files.ts';
import { modelInput, planRunner, SERVE_ARGS } from '../warm/plan.ts';
import { nameClassically, placeModel } from './model-files.ts';

/** Predicts a data set with a model, by the model's own algorithm. Resolves when the prediction is staged. */
export async function predict(order: Preduplet, attempt: Attempt): Promise<OrderResult> {
  if (order.prediction_storage_uuid === NIL_UUID)
    throw new PlatformError('internal', 'The order has no prediction_storage_uuid to store to.');
  const model: BlobName = { type: 'model', uuid: order.model };
  const data: BlobName = { type: 'data', uuid: order.data };
  const algo: BlobName = { type: 'algo', uuid: await algoOf(model, attempt) };
  const named = { algo, model, data, problem: order.problem };
  const path =
    (await attempt.staysWarm(algo)) === true
      ? await callPredict(named, attempt)
      : await runCold(named, attempt);
  return await attempt.span('results').piece(async () => {
    const { prediction_storage_uuid: uuid } = order;
    const [sha256, { size }] = await Promise.all([hashFile(path), stat(path)]);
    await attempt.stage({ type: 'prediction', uuid, algo: algo.uuid, path, sha256, size });
    return { uuid, sha256, size };
  });
}

interface Named {
  readonly algo: BlobName;
  readonly model: BlobName;
  readonly data: BlobName;
  readonly problem: string;
}

/** In a container of its own, but where it turns out that the algorithm stays warm. Returns the path of the prediction. */
async function runCold(named: Named, attempt: Attempt): Promise<string> {
  const { algo, model, data } = named;
  const onBlobs = (blob: (name: BlobName) => InputBlob) =>
    attempt.prepare('predict', async (folder) => await fill(folder, blob(model), blob(data), attempt));
  const onImage = (_: BlobName, { prepared }: Image) => {
    if (prepared.runner === undefined) attempt.warmUp(CONTAINER_STEPS.predict, prepared);
  };
  const inputs = await gather({ contexts: [algo], blobs: [model, data], onBlobs, onImage }, attempt);
  const image = inputs.image(algo);
  if ((await attempt.staysWarm(algo, image)) === true) return await callPredict(named, attempt);
  return await runPredict(image, data, attempt);
}

/** In a warm runner that has loaded the model. Returns the path of the prediction. */
async function callPredict({ algo, model, data, problem }: Named, attempt: Attempt): Promise<string> {
  const request = {
    ...({ protocol: 'runner', algo: algo.uuid, model: model.uuid, problem, args: SERVE_ARGS } as const),
    ...{ inputs: [modelInput(model.uuid)], ...attempt.ofRunner() },
  };
  const [{ blob }, plan] = await Promise.all([
    gather({ contexts: [], blobs: [data] }, attempt),
    planRunner(request, (stop) => attempt.supplies(stop), attempt.signal),
  ]);
  const { uuid } = data;
  const { bytes: maxBytes } = attempt.treeLimits;
  return await attempt.call({
    ...{ step: 'predict', plan },
    fill: async (folder) => await placeFile(blob(data).path, join(folder, uuid), 'copy'),
    take: async (outputs, folder) => {
      const path = join(folder, uuid);
      await takeOutput(outputs, uuid, path, { maxBytes });
      return path;
    },
  });
}

async function algoOf(model: BlobName, attempt: Attempt): Promise<string> {
  const { algo } = await attempt.describe(model);
  if (algo !== undefined) return algo;
  const message = `Storage does not know which algo made model ${model.uuid}.`;
  throw new OrderFailure('model_without_algo', { message, step: 'inputs' });
}

async function fill(folder: string, model: InputBlob, data: InputBlob, attempt: Attempt): Promise<void> {
  await placeModel(model, join(folder, 'model'), attempt, 'predict');
  await nameClassically(join(folder, 'model'));
  await makeStepFolders(CONTAINER_STEPS.predict, folder);
  await placeFile(data.path, join(folder, 'test', data.uuid), attempt.placing);
}

/** Returns the path of the prediction. */
async function runPredict(algo: Image, { uuid }: BlobName, attempt: Attempt): Promise<string> {
  return await attempt.step(CONTAINER_STEPS.predict, async (run) => {
    const folder = await run(algo.prepared);
    const maxBytes = attempt.treeLimits.bytes;
    const written = { folder: join(folder, 'test'), at: '/data/test', uuids: [uuid], maxBytes };
    await takePredictions(written, join(folder, 'taken'));
    return join(folder, 'taken', uuid);
  });
}
