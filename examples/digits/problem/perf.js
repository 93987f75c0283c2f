import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, listDataFiles, readDigits } from './digits-file.js';
import { readPredictions } from './predictions.js';

/**
 * Measures the predictions of a submission and writes `<hidden>/perf/performance.json`:
 * `perf` is the share of right answers over all test digits, `train_perf` and `test_perf` the
 * share for each data file. Throws InputError, and writes nothing, if a prediction is not valid.
 * @param {string} hidden folder with `test` (with labels); gets `perf`
 * @param {string} submission folder with `train` (with labels), `train/pred` and `test/pred`
 * @param {(line: string) => void} say told one line a file
 */
export async function perf(hidden, submission, say) {
  const test = await scoreFolder(join(hidden, 'test'), join(submission, 'test', 'pred'), say);
  if (test.length === 0) throw new InputError(`${join(hidden, 'test')} holds no data file`);
  const train = await scoreFolder(join(submission, 'train'), join(submission, 'train', 'pred'), say);
  const performance = {
    perf: sum(test, 'right') / sum(test, 'count'),
    train_perf: shares(train),
    test_perf: shares(test),
  };
  await mkdir(join(hidden, 'perf'), { recursive: true });
  await writeFile(join(hidden, 'perf', 'performance.json'), `${JSON.stringify(performance)}\n`);
  say(`perf: ${performance.perf.toFixed(4)} on all ${sum(test, 'count')} test digits`);
}

async function scoreFolder(targets, predictions, say) {
  const scores = [];
  for (const name of await listDataFiles(targets)) {
    const labels = await readLabels(join(targets, name));
    const answers = await readPredictions(join(predictions, name), labels.length);
    const right = labels.filter((label, index) => label === answers[index]).length;
    say(`perf: ${name}: ${right} of ${labels.length} right (${(right / labels.length).toFixed(4)})`);
    scores.push({ name, right, count: labels.length });
  }
  return scores;
}

async function readLabels(path) {
  const labels = [];
  for await (const { label } of readDigits(path)) {
    if (label === undefined) {
      throw new InputError(`${path} line ${labels.length + 1} has no label to compare with`);
    }
    labels.push(label);
  }
  return labels;
}

function sum(scores, key) {
  return scores.reduce((total, score) => total + score[key], 0);
}

function shares(scores) {
  return Object.fromEntries(scores.map(({ name, right, count }) => [name, right / count]));
}
