import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, styleText } from 'node:util';
import { createLog } from '@morpheo/service/log';
import { startPlatform } from '@morpheo/standalone';
import { drawDigit, readDigits } from './draw-digit.ts';
import { Morpheo } from './morpheo.ts';
import { makeKnown } from './orchestrate.ts';
import { watchTrainings } from './watch.ts';

const DIGITS = fileURLToPath(new URL('../', import.meta.url));
const ALGOS = ['nearest-centroid', 'softmax-regression', 'small-network'];
const TRAINING = ['train-1', 'train-2', 'train-3'];
const TESTS = ['test-1', 'test-2'];
const TOOK_TOO_LONG_MS = 300_000;

const started = performance.now();
const home = await mkdtemp(join(tmpdir(), 'morpheo-demo-'));
try {
  await demonstrate(home);
} finally {
  await rm(home, { recursive: true, force: true });
}
say(
  `Done in ${((performance.now() - started) / 1000).toFixed(1)} s; the platform has stopped and its folder is gone.`,
);

/** The whole chain on a new platform: from an upload to a leaderboard and a prediction. */
async function demonstrate(home: string): Promise<void> {
  const data = join(home, 'data');
  chapter('Real handwritten digits, split into data sets');
  await promisify(execFile)(process.execPath, [join(DIGITS, 'make-data.js'), data]);
  say(`${TRAINING.length} sets to train with, ${TESTS.length} to test with, and a few digits to predict`);

  chapter('The platform: storage-api, compute-api, compute-worker and an orchestrator in this process');
  const log = createLog({
    service: 'demo',
    level: 'info',
    destination: createWriteStream(join(home, 'platform.log')),
  });
  await using platform = await startPlatform({
    folder: join(home, 'platform'),
    slots: { learn: 2, predict: 1 },
    log,
  });
  const { storage, compute, orchestrator, credentials } = platform.connection;
  say(`storage ${storage}   compute ${compute}   orchestrator ${orchestrator}`);
  const morpheo = new Morpheo(join(home, 'platform'));

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
  const preduplet = await platform.orchestrator.postPrediction({ body: { data: dataId, problem } });
  const prediction = await morpheo.prediction(String(preduplet.uuid), join(home, 'prediction'));
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
