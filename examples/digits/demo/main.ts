import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify, styleText } from 'node:util';
import { drawDigit, readDigits } from './draw-digit.ts';
import { Morpheo } from './morpheo.ts';
import { makeKnown, orderPrediction } from './orchestrate.ts';
import { findRunning, startOwn } from './platform.ts';
import { watchTrainings } from './watch.ts';

const DIGITS = fileURLToPath(new URL('../', import.meta.url));
const ALGOS = ['nearest-centroid', 'softmax-regression', 'small-network'];
const TRAINING = ['train-1', 'train-2', 'train-3'];
const TESTS = ['test-1', 'test-2'];
const TOOK_TOO_LONG_MS = 300_000;

/** `--home`: the folder of a platform that runs already (its connection.json); without it, a new one is started. */
const { values: given } = parseArgs({ options: { home: { type: 'string' } } });
const started = performance.now();
const folder = await mkdtemp(join(tmpdir(), 'morpheo-demo-'));
try {
  await demonstrate(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
const seconds = ((performance.now() - started) / 1000).toFixed(1);
say(`Done in ${seconds} s${given.home ? '.' : '; the platform has stopped and its folder is gone.'}`);

/** The whole chain: from an upload to a leaderboard and a prediction. What lies on disk here is kept in `folder`. */
async function demonstrate(folder: string): Promise<void> {
  const data = join(folder, 'data');
  chapter('Real handwritten digits, split into data sets');
  await promisify(execFile)(process.execPath, [join(DIGITS, 'make-data.js'), data]);
  say(`${TRAINING.length} sets to train with, ${TESTS.length} to test with, and a few digits to predict`);

  chapter('The platform: storage-api, compute-api, compute-worker and an orchestrator');
  await using platform = given.home === undefined ? await startOwn(folder) : await findRunning(given.home);
  const { storage, compute, orchestrator, credentials } = platform.connection;
  say(`storage ${storage}   compute ${compute}   orchestrator ${orchestrator}`);
  const morpheo = new Morpheo(platform.home);

  chapter(`Uploads, as ${credentials.name}`);
  const workflow = await morpheo.upload(
    'problem',
    join(DIGITS, 'problem'),
    '--name',
    'digits',
    '--description',
    'Which digit is it?',
  );
  const algos = new Map<string, string>();
  for (const name of ALGOS)
    algos.set(await morpheo.upload('algo', join(DIGITS, 'algos', name), '--name', name), name);
  const sets = new Map<string, string>();
  for (const name of [...TRAINING, ...TESTS, 'predict-1'])
    sets.set(name, await morpheo.upload('data', join(data, name)));
  const ids = (names: readonly string[]): string[] => names.map((name) => sets.get(name) ?? '');

  chapter('Learning: every algorithm, rank by rank; the targets of the test data stay hidden');
  const problem = await makeKnown(platform.orchestrator, {
    workflow,
    algos,
    training: ids(TRAINING),
    tests: ids(TESTS),
  });
  await watchTrainings(
    platform.compute,
    algos,
    ALGOS.length * TRAINING.length,
    AbortSignal.timeout(TOOK_TOO_LONG_MS),
  );

  chapter('The leaderboard');
  await morpheo.run('leaderboard', '--workflow', workflow);

  chapter('A prediction with the best model');
  const [dataId = ''] = ids(['predict-1']);
  const signal = AbortSignal.timeout(TOOK_TOO_LONG_MS);
  const order = await orderPrediction(platform, { data: dataId, problem }, signal);
  const prediction = await morpheo.prediction(order, join(folder, 'prediction'));
  const [digit] = readDigits(await readFile(join(data, 'predict-1'), 'utf8'));
  if (digit === undefined) throw new Error('there is no digit to draw');
  process.stdout.write(`${drawDigit(digit.pixels)}\n`);
  say(`The model says ${styleText('bold', prediction[0] ?? 'nothing')}; its writer meant ${digit.label}.`);
}

function chapter(title: string): void {
  process.stdout.write(`\n${styleText(['bold', 'cyan'], title)}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
