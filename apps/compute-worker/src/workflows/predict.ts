import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NIL_UUID, OrderFailure, type OrderResult, type Preduplet } from '@morpheo/common';
import type { BlobName } from '../download.ts';
import type { Image } from '../images.ts';
import { hashFile, type InputBlob } from '../inputs.ts';
import { placeFile } from '../place.ts';
import { takePredictions } from '../predictions.ts';
import { stageResult } from '../results.ts';
import { makeStepFolders } from '../steps.ts';
import { toldStep } from '../told-step.ts';
import { type AttemptTools, readOnlyPlacing, runStep } from './attempt-tools.ts';
import { gather } from './gather.ts';
import { nameClassically, unpackModel } from './models.ts';

/** Predicts a data set with a model, by the model's own algorithm. Resolves when the prediction is staged. */
export async function predict(order: Preduplet, tools: AttemptTools): Promise<OrderResult> {
  const model: BlobName = { type: 'model', uuid: order.model };
  const data: BlobName = { type: 'data', uuid: order.data };
  const algo: BlobName = { type: 'algo', uuid: await algoOf(model, tools) };
  const inputs = await gather({ contexts: [algo], blobs: [model, data] }, tools);
  const predicted = await runPredict(inputs.image(algo), inputs.blob(model), inputs.blob(data), tools);
  return await toldStep(tools.feed, 'results', async () => {
    const asked = order.prediction_storage_uuid;
    const uuid = asked === NIL_UUID ? randomUUID() : asked;
    const [sha256, { size }] = await Promise.all([hashFile(predicted), stat(predicted)]);
    await stageResult({ type: 'prediction', uuid, algo: algo.uuid, path: predicted, sha256, size }, tools);
    return { uuid, sha256, size };
  });
}

async function algoOf(model: BlobName, tools: AttemptTools): Promise<string> {
  const { algo } = await tools.inputs.describe(model, tools.signal);
  if (algo !== undefined) return algo;
  const message = `Storage does not know which algo made model ${model.uuid}.`;
  throw new OrderFailure({ reason: 'input_not_found', message, step: 'inputs' });
}

/** Returns the path of the prediction. */
async function runPredict(
  algo: Image,
  model: InputBlob,
  data: InputBlob,
  tools: AttemptTools,
): Promise<string> {
  const prepare = async (folder: string) => {
    await unpackModel(model, join(folder, 'model'), tools);
    await nameClassically(join(folder, 'model'));
    await makeStepFolders('predict', folder);
    await placeFile(data.path, join(folder, 'test', data.uuid), readOnlyPlacing(tools.runtime));
  };
  const taken = await toldStep(tools.feed, 'predict', async (facts) => {
    const folder = await runStep({ step: 'predict', image: algo.prepared, prepare }, tools, facts);
    const maxBytes = tools.limits.run.diskBytes;
    const written = { folder: join(folder, 'test'), at: '/data/test', uuids: [data.uuid], maxBytes };
    await takePredictions(written, join(folder, 'taken'));
    return join(folder, 'taken');
  });
  return join(taken, data.uuid);
}
