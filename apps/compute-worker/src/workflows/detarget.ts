import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import type { Attempt, RunContainer } from '../attempt/attempt.ts';
import { placeFiles } from '../files/copy-in.ts';
import type { Cached } from '../inputs/cache/index.ts';
import type { InputBlob } from '../inputs/fetch.ts';
import type { Image } from '../inputs/images.ts';
import { type CollectedFile, collectTree, takeFile } from '../outputs/collect.ts';
import { CONTAINER_STEPS } from '../steps/contract.ts';
import { makeStepFolders } from '../steps/run-step.ts';

/** Where the contract has the untargeted data in the container. */
const AT = '/submission_data/test';

/**
 * The test data without their targets, as the problem's *detarget* step makes them: a folder of the cache, in use
 * until the attempt ends. It is made once for a problem and its test data, by their digests, even where several
 * orders want it at once. A failure is not kept.
 */
export async function detarget(
  problem: Image,
  tests: readonly InputBlob[],
  attempt: Attempt,
): Promise<Cached> {
  return await attempt.step(CONTAINER_STEPS.detarget, async (run) => {
    return await attempt.cached({
      area: 'detargeted',
      key: keyOf(problem, tests),
      make: (into) => runDetarget(problem, tests, attempt, run, into),
    });
  });
}

function keyOf(problem: Image, tests: readonly InputBlob[]): string {
  const data = tests.map(({ uuid, digest }) => `${uuid}:${digest}`).sort();
  return createHash('sha256')
    .update([problem.digest, ...data].join('\n'))
    .digest('hex');
}

/** Runs the step, and puts what it wrote at `into`. Returns its size in bytes. */
async function runDetarget(
  problem: Image,
  tests: readonly InputBlob[],
  attempt: Attempt,
  run: RunContainer,
  into: string,
): Promise<number> {
  attempt.prepare('detarget', async (folder) => {
    await makeStepFolders(CONTAINER_STEPS.detarget, folder);
    const files = tests.map(({ path, uuid }) => ({ source: path, target: join(folder, 'test', uuid) }));
    await placeFiles(files, attempt.placing);
  });
  const folder = await run(problem.prepared);
  const written = join(folder, 'untargeted_test');
  const { treeLimits: limits, signal } = attempt;
  const files = await collectTree(written, { limits, at: AT, signal });
  demandAll(files, tests);
  await attempt.startOver('detarget');
  await moveFiles(
    written,
    files.filter(({ path }) => path.split('/', 1)[0] !== 'pred'),
    into,
  );
  return files.reduce((sum, file) => sum + file.size, 0);
}

function demandAll(files: readonly CollectedFile[], tests: readonly InputBlob[]): void {
  const written = new Set(files.map(({ path }) => path));
  const missing = tests.find(({ uuid }) => !written.has(uuid));
  if (missing === undefined) return;
  const file = `${AT}/${missing.uuid}`;
  throw new OrderFailure('output_missing', { message: `${file} was not written.`, file, step: 'detarget' });
}

/** Moves collected files; `pred` is left out by the caller, since it is the place of predictions. */
async function moveFiles(from: string, files: readonly CollectedFile[], to: string): Promise<void> {
  await mkdir(to);
  for (const { path } of files) {
    const target = join(to, path);
    await mkdir(dirname(target), { recursive: true });
    await takeFile(from, path, AT, target);
  }
}
