// What every algorithm of this example does around its own `algorithm.js`: read the data, start
// from the model that is there, write predictions and the model. The same in each algorithm.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { name as algorithm, predictor, train } from './algorithm.js';
import { InputError, listDataFiles, readDigits, writePredictions } from './digits-file.js';

const USAGE = 'usage: main.js -V <data folder> -T train|predict';
const MODEL = 'model_trained.json';

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        volume: { type: 'string', short: 'V' },
        task: { type: 'string', short: 'T' },
      },
    });
    return values;
  } catch (cause) {
    throw new InputError(`${cause.message}\n${USAGE}`, { cause });
  }
}

async function readSets(folder) {
  const names = await listDataFiles(folder);
  if (names.length === 0) throw new InputError(`${folder} holds no data file`);
  return Promise.all(
    names.map(async (name) => ({ name, digits: await Array.fromAsync(readDigits(join(folder, name))) })),
  );
}

async function readModel(folder) {
  const path = join(folder, MODEL);
  const text = await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const model = parseJson(text, path);
  if (model?.algorithm === algorithm) return model;
  throw new InputError(`${path} is not a model of ${algorithm}, but of ${model?.algorithm}`);
}

function parseJson(text, path) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path} is not JSON: ${cause.message}`, { cause });
  }
}

async function predictSets(model, folder, sets) {
  const predict = predictor(model);
  for (const { name, digits } of sets) {
    const predictions = digits.map(({ pixels }) => predict(pixels));
    await writePredictions(join(folder, 'pred', name), predictions);
    console.log(`${algorithm}: wrote ${predictions.length} predictions for ${name}`);
  }
}

function checkLabels({ name, digits }) {
  const missing = digits.findIndex(({ label }) => label === undefined);
  if (missing !== -1) {
    throw new InputError(`training data ${name} line ${missing + 1} has no label to learn from`);
  }
}

async function runTrain(folder) {
  const trainSets = await readSets(join(folder, 'train'));
  const testSets = await readSets(join(folder, 'test'));
  const start = await readModel(join(folder, 'model'));
  trainSets.forEach(checkLabels);
  const digits = trainSets.flatMap((set) => set.digits);
  const from = start ? `a model that has seen ${start.seen} digits` : 'nothing';
  console.log(`${algorithm}: train on ${digits.length} digits, from ${from}`);
  const trained = train(start, digits, (line) => console.log(`${algorithm}: ${line}`));
  const model = { algorithm, seen: (start?.seen ?? 0) + digits.length, ...trained };
  await predictSets(model, join(folder, 'train'), trainSets);
  await predictSets(model, join(folder, 'test'), testSets);
  await mkdir(join(folder, 'model'), { recursive: true });
  await writeFile(join(folder, 'model', MODEL), `${JSON.stringify(model)}\n`);
  console.log(`${algorithm}: wrote ${MODEL}, ${model.seen} digits seen`);
}

async function runPredict(folder) {
  const model = await readModel(join(folder, 'model'));
  if (!model) throw new InputError(`${join(folder, 'model', MODEL)} is missing: train first`);
  await predictSets(model, join(folder, 'test'), await readSets(join(folder, 'test')));
}

async function main() {
  const { volume, task } = readArguments();
  if (!volume) throw new InputError(USAGE);
  if (task === 'train') return runTrain(volume);
  if (task === 'predict') return runPredict(volume);
  throw new InputError(USAGE);
}

main().catch((error) => {
  console.error(error instanceof InputError ? `error: ${error.message}` : error);
  process.exitCode = 1;
});
