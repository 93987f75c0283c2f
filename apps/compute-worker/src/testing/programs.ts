import { rawTarGz } from '@morpheo/service/archive/testing';

/**
 * A problem and an algorithm as real programs, small enough to read: a data file is a number and its double, the
 * double being hidden from the algorithm; a score of 1 is for every prediction that is right.
 */
const PROBLEM = `
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
const [, , , task, , hidden, , submission] = process.argv;
const names = (folder) => readdirSync(folder, { withFileTypes: true }).filter((e) => e.isFile()).map((e) => e.name);
const numbers = (path) => readFileSync(path, 'utf8').split(' ').map(Number);
if (task === 'detarget') {
  for (const name of names(hidden + '/test')) {
    writeFileSync(submission + '/test/' + name, String(numbers(hidden + '/test/' + name)[0]));
  }
} else {
  const score = (truth, pred) => Object.fromEntries(
    names(truth).map((name) => [name, numbers(truth + '/' + name)[1] === numbers(pred + '/' + name)[0] ? 1 : 0]));
  const test_perf = score(hidden + '/test', submission + '/test/pred');
  const train_perf = score(submission + '/train', submission + '/train/pred');
  const all = Object.values(test_perf);
  const perf = all.reduce((sum, one) => sum + one, 0) / all.length;
  writeFileSync(hidden + '/perf/performance.json', JSON.stringify({ perf, train_perf, test_perf }));
}
console.log(task + ' done');
`;

const ALGORITHM = `
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
const [, , , volume, , task] = process.argv;
const names = (folder) => readdirSync(folder, { withFileTypes: true }).filter((e) => e.isFile()).map((e) => e.name);
const numbers = (path) => readFileSync(path, 'utf8').split(' ').map(Number);
const model = volume + '/model/model_trained.json';
if (task === 'train') {
  const [name] = names(volume + '/train');
  const [x, y] = numbers(volume + '/train/' + name);
  writeFileSync(model, JSON.stringify({ factor: y / x }));
}
const { factor } = JSON.parse(readFileSync(model, 'utf8'));
for (const folder of task === 'train' ? ['/train', '/test'] : ['/test']) {
  mkdirSync(volume + folder + '/pred', { recursive: true });
  for (const name of names(volume + folder)) {
    const [x] = numbers(volume + folder + '/' + name);
    writeFileSync(volume + folder + '/pred/' + name, String(x * factor));
    console.log('predicted ' + name);
  }
}
`;

/**
 * A job as a real program: it lists its input folder, copies each file of it in capitals to its outputs, nested and
 * executable, tells a metric and leaves a checkpoint, and ends with the exit code that it is told.
 */
export const CAPITALS_JOB = `
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
const [, , input, exitCode] = process.argv;
const { MORPHEO_OUTPUTS: outputs, MORPHEO_CHECKPOINT: checkpoint, SUFFIX } = process.env;
mkdirSync(outputs + '/nested/empty', { recursive: true });
for (const name of readdirSync(input)) {
  const text = readFileSync(input + '/' + name, 'utf8').toUpperCase();
  writeFileSync(outputs + '/nested/' + name + SUFFIX, text, { mode: 0o755 });
}
writeFileSync(outputs + '/metrics.jsonl', JSON.stringify({ files: readdirSync(input).length }));
writeFileSync(checkpoint + '/state', 'done');
console.log('wrote ' + outputs);
process.exit(Number(exitCode));
`;

/** The build context of a node program; with labels, such as `morpheo.runner=1`, where it has some. */
export function programArchive(program: string, labels: readonly string[] = []): Buffer {
  const label = labels.length === 0 ? '' : `LABEL ${labels.join(' ')}\n`;
  const dockerfile = `FROM node:24-slim\n${label}COPY main.mjs /app/\nENTRYPOINT ["node", "/app/main.mjs"]\n`;
  return rawTarGz([
    { name: 'Dockerfile', body: dockerfile },
    { name: 'main.mjs', body: program },
  ]);
}

/** See above; `more` is done at its end, where it knows `task`, `hidden` and `submission`. */
export const doublingProblem = (more = ''): Buffer => programArchive(PROBLEM + more);

/** See above; `more` is done at its end, where it knows `task`, `volume` and `model`. */
export const doublingAlgorithm = (more = ''): Buffer => programArchive(ALGORITHM + more);
