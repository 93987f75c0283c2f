// What the tests of this example share: the build contexts run as an archive of them would, from a
// copy that stands alone, with the entry points given real folders.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';

const HERE = import.meta.dirname;

/** The folder names under `algos`, from the least to the most able. */
export const ALGORITHMS = ['nearest-centroid', 'softmax-regression', 'small-network'];

/**
 * A new temporary folder, removed when it is disposed of.
 * @returns {Promise<{ path: string } & AsyncDisposable>}
 */
export async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'digits-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/**
 * Runs a script with node to its end.
 * @param {string} script absolute, or relative to this folder
 * @param {string[]} args
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export async function runNode(script, args) {
  const path = resolve(HERE, script);
  const child = spawn(process.execPath, [path, ...args], {
    cwd: dirname(path),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  return { code, stdout, stderr };
}

/**
 * Runs a copy of a build context, with nothing of this folder around it.
 * @param {string} context `problem`, or `algos/<name>`
 * @param {string[]} args what the worker appends to the entry point
 */
export async function runContext(context, args) {
  await using alone = await temporaryFolder();
  await cp(join(HERE, context), alone.path, { recursive: true });
  return await runNode(join(alone.path, 'main.js'), args);
}

/**
 * Writes a file of text, and the folders above it.
 * @param {string} path
 * @param {string} content
 */
export async function writeText(path, content) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

/**
 * Learns one rank as the worker does: detarget, train, perf. The model of the rank before stays in
 * `<work>/data/model`; training and test data are put afresh.
 * @param {string} work a folder of the caller
 * @param {string} algorithm one of ALGORITHMS
 * @param {{ train: string[], test: string[] }} sets paths of data files
 * @returns {Promise<{ log: string, model: string, performance: object }>}
 */
export async function learnRank(work, algorithm, { train, test }) {
  const [hidden, data] = [join(work, 'hidden'), join(work, 'data')];
  for (const folder of [hidden, join(data, 'train'), join(data, 'test')]) {
    await rm(folder, { recursive: true, force: true });
  }
  await copyInto(join(hidden, 'test'), test);
  await copyInto(join(data, 'train'), train);
  await succeed('problem', ['-T', 'detarget', '-i', hidden, '-s', data]);
  const log = await succeed(`algos/${algorithm}`, ['-V', data, '-T', 'train']);
  await succeed('problem', ['-T', 'perf', '-i', hidden, '-s', data]);
  const performance = JSON.parse(await readFile(join(hidden, 'perf', 'performance.json'), 'utf8'));
  const model = await readFile(join(data, 'model', 'model_trained.json'), 'utf8');
  return { log, model, performance };
}

async function copyInto(folder, paths) {
  await mkdir(folder, { recursive: true });
  for (const path of paths) await cp(path, join(folder, basename(path)));
}

async function succeed(context, args) {
  const { code, stdout, stderr } = await runContext(context, args);
  if (code !== 0) throw new Error(`${context} ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}
