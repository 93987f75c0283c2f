import { rawTarGz } from '@morpheo/service/archive/testing';

/** So many bytes of the models cannot be made fewer by packing them. */
export const MODEL_BYTES = 4_000_000;

/** The steps that can be made to wait. */
export type PausedStep = 'detarget' | 'train' | 'perf' | 'job';

/**
 * A program that, in the step which is to wait, goes on when it is sent SIGUSR2 and fails when it is sent SIGUSR1. In
 * each step it says that it starts, with a word that it never says again.
 */
function paused(step: PausedStep, work: string): Buffer {
  const source = `
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
const at = (flag) => process.argv[process.argv.indexOf(flag) + 1];
const task = at('-T');
const files = (folder) => readdirSync(folder, { withFileTypes: true }).filter((one) => one.isFile()).map((one) => one.name);
${work}
console.log('begins ' + task + ' ' + randomUUID());
if (task === '${step}') {
  let ticks = 0;
  setInterval(() => console.log('tick ' + ticks++), 200);
  process.on('SIGUSR1', () => { console.error('told to fail'); process.exit(3); });
  process.on('SIGUSR2', () => { steps[task](); console.log(task + ' ended'); process.exit(0); });
} else steps[task]();
`;
  return archiveOf(source);
}

function archiveOf(source: string): Buffer {
  return rawTarGz([
    {
      name: 'Dockerfile',
      body: 'FROM node:24-slim\nCOPY main.mjs /app/\nENTRYPOINT ["node", "/app/main.mjs"]\n',
    },
    { name: 'main.mjs', body: source },
  ]);
}

/**
 * A job that counts from where its checkpoint says that it was: each number is a line of metrics, and then the
 * checkpoint. It ends when it is sent SIGUSR2, with the number that it has come to as its output.
 */
export function countingJob(): Buffer {
  const source = `
import { randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
const { MORPHEO_OUTPUTS: outputs, MORPHEO_CHECKPOINT: checkpoint } = process.env;
const before = () => { try { return Number(readFileSync(checkpoint + '/at', 'utf8')); } catch { return 0; } };
let at = before();
console.log('begins job ' + randomUUID());
setInterval(() => {
  at += 1;
  appendFileSync(outputs + '/metrics.jsonl', JSON.stringify({ at }) + '\\n');
  writeFileSync(checkpoint + '/.at', String(at));
  renameSync(checkpoint + '/.at', checkpoint + '/at');
  console.log('tick ' + at);
}, 200);
process.on('SIGUSR2', () => { writeFileSync(outputs + '/result', String(at)); process.exit(0); });
`;
  return archiveOf(source);
}

/** An algorithm whose training may wait. */
export function pausedAlgorithm(step: PausedStep): Buffer {
  return paused(
    step,
    `const steps = { train() {
  for (const folder of [at('-V') + '/train', at('-V') + '/test']) {
    mkdirSync(folder + '/pred', { recursive: true });
    for (const name of files(folder)) writeFileSync(folder + '/pred/' + name, 'a guess');
  }
  writeFileSync(at('-V') + '/model/model_trained.json', '{}');
  writeFileSync(at('-V') + '/model/weights', randomBytes(${MODEL_BYTES}));
} };`,
  );
}

/** A problem whose other steps may wait. */
export function pausedProblem(step: PausedStep): Buffer {
  return paused(
    step,
    `const scores = (folder) => Object.fromEntries(files(folder + '/pred').map((name) => [name, 1]));
const steps = {
  detarget() { for (const name of files(at('-i') + '/test')) writeFileSync(at('-s') + '/test/' + name, '?'); },
  perf() {
    const perf = { perf: 1, train_perf: scores(at('-s') + '/train'), test_perf: scores(at('-s') + '/test') };
    writeFileSync(at('-i') + '/perf/performance.json', JSON.stringify(perf));
  },
};`,
  );
}
