import { canMountDisks, mountSmallDisk } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import ava from 'ava';
import type { PreparedImage } from '../runtime/index.ts';
import { CONTAINER_STEPS } from './contract.ts';
import { StepRunner, type StepRunnerOptions } from './run-step.ts';

const test = canMountDisks ? ava : ava.skip;

function runnerIn(folder: string): StepRunner {
  const journal = { of: { order: 'o', attempt: 1 }, step: () => undefined, begin: async () => undefined };
  return new StepRunner({
    gpus: [],
    limits: {},
    signal: new AbortController().signal,
    runtime: { run: async () => ({ ended: 'exited', exitCode: 1, seconds: 0 }) },
    events: { outputOf: () => async () => undefined, tail: () => [] },
    workspace: { journal, at: () => folder, folder: async () => folder },
  } as unknown as StepRunnerOptions);
}

test('A program that fails on a full disk of the worker is not to blame', async (t) => {
  await using folder = await temporaryFolder();
  await using disk = await mountSmallDisk(folder.path, 4 * 2 ** 20);
  const request = {
    recipe: CONTAINER_STEPS.train,
    image: {} as PreparedImage,
    prepare: async () => undefined,
  };
  const run = async () => await t.throwsAsync(runnerIn(folder.path).run(request));
  await disk.fill();
  t.like(await run(), { name: 'PlatformError', code: 'disk_full' });
  await disk.free();
  t.like(await run(), { name: 'OrderFailure' });
});
