import { canMountDisks, mountSmallDisk } from '@morpheo/real-parts';
import ava from 'ava';
import { temporaryFolder } from './archive/testing.ts';
import { type RunRequest, type RunTools, runContainer } from './steps.ts';

const test = canMountDisks ? ava : ava.skip;

const TOOLS = {
  order: 'o',
  attempt: 1,
  gpus: [],
  limits: {},
  signal: new AbortController().signal,
  runtime: { run: async () => ({ ended: 'exited', exitCode: 1, seconds: 0 }) },
  feed: { outputOf: () => async () => undefined, tail: () => [] },
  record: {},
} as unknown as RunTools;

test('A program that fails on a full disk of the worker is not to blame', async (t) => {
  await using folder = await temporaryFolder();
  await using disk = await mountSmallDisk(folder.path, 4 * 2 ** 20);
  const request = { step: 'train', image: {}, folder: folder.path, scratch: folder.path } as RunRequest;
  const run = async () => await t.throwsAsync(runContainer(request, TOOLS, {}));
  await disk.fill();
  t.like(await run(), { name: 'PlatformError', code: 'disk_full' });
  await disk.free();
  t.like(await run(), { name: 'OrderFailure' });
});
