import { createHash } from 'node:crypto';
import { chmod, mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import type { Cached } from '../cache/index.ts';
import type { Image } from '../images.ts';
import type { InputBlob } from '../inputs.ts';
import { treeLimits } from '../limits.ts';
import { type CollectedFile, collectTree } from '../outputs.ts';
import { placeFile } from '../place.ts';
import { makeStepFolders } from '../steps.ts';
import { type StepFacts, toldStep } from '../told-step.ts';
import { type AttemptTools, readOnlyPlacing, runStep, startOver } from './attempt-tools.ts';

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
  tools: AttemptTools,
): Promise<Cached> {
  return await toldStep(tools.feed, 'detarget', async (facts) => {
    const untargeted = await tools.cache.use({
      area: 'detargeted',
      key: keyOf(problem, tests),
      signal: tools.signal,
      make: (into) => runDetarget(problem, tests, tools, facts, into),
    });
    if (untargeted.cached) facts.cached = true;
    return tools.held.use(untargeted);
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
  tools: AttemptTools,
  facts: StepFacts,
  into: string,
): Promise<number> {
  const placing = readOnlyPlacing(tools.runtime);
  const prepare = async (folder: string) => {
    await makeStepFolders('detarget', folder);
    for (const { path, uuid } of tests) await placeFile(path, join(folder, 'test', uuid), placing);
  };
  const folder = await runStep({ step: 'detarget', image: problem.prepared, prepare }, tools, facts);
  const written = join(folder, 'untargeted_test');
  const files = await collectTree(written, {
    limits: treeLimits(tools.limits),
    at: AT,
    signal: tools.signal,
  });
  demandAll(files, tests);
  await startOver('detarget', tools);
  await moveFiles(
    written,
    files.filter(({ path }) => !path.startsWith('pred/')),
    into,
  );
  return files.reduce((sum, file) => sum + file.size, 0);
}

function demandAll(files: readonly CollectedFile[], tests: readonly InputBlob[]): void {
  const written = new Set(files.map(({ path }) => path));
  const missing = tests.find(({ uuid }) => !written.has(uuid));
  if (missing === undefined) return;
  const file = `${AT}/${missing.uuid}`;
  throw new OrderFailure({
    reason: 'missing_result',
    message: `${file} was not written.`,
    file,
    step: 'detarget',
  });
}

/** Moves collected files; `pred` is left out by the caller, since it is the place of predictions. */
async function moveFiles(from: string, files: readonly CollectedFile[], to: string): Promise<void> {
  await mkdir(to);
  for (const { path } of files) {
    const target = join(to, path);
    await mkdir(dirname(target), { recursive: true });
    await rename(join(from, path), target);
    await chmod(target, 0o644);
  }
}
