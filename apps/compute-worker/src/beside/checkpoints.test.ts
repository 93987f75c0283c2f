import { mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { listing, temporaryFolder } from '@morpheo/service/archive/testing';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { AttemptAborted } from '../attempt/outcome.ts';
import { livingTree } from '../files/living-tree.ts';
import type { LiveRun } from '../runtime/index.ts';
import { type CheckpointStorage, Checkpoints } from './checkpoints.ts';

const TREE = { bytes: 1e12, files: 100, depth: 10, pathBytes: 200 };

/** Storage with the checkpoint of one order. */
class OneCheckpoint {
  readonly puts: Buffer[] = [];
  fault: () => Error | undefined = () => undefined;
  readonly storage: CheckpointStorage = {
    putCheckpoint: async ({ body: { body } }) => {
      const fault = this.fault();
      if (fault !== undefined) throw fault;
      this.puts.push(Buffer.concat(await Array.fromAsync(body, (piece) => Buffer.from(piece))));
      return { size: 0, sha256: '' };
    },
    getCheckpoint: async () => {
      const bytes = this.puts.at(-1);
      if (bytes === undefined) throw new PlatformError('not_found', 'There is none.');
      return { status: 200, headers: {}, body: new Blob([new Uint8Array(bytes)]).stream() };
    },
  };
}

/** A run that leaves checkpoints in a folder, and who keeps them. */
async function openRun(kept = new OneCheckpoint(), limits: { bytes?: number; everyMs?: number } = {}) {
  const box = await temporaryFolder();
  const folder = join(box.path, 'checkpoint');
  const [over, ended] = [new AbortController(), new AbortController()];
  const said: string[] = [];
  const checkpoints = new Checkpoints({
    storage: kept.storage,
    of: { order: 'o', attempt: 2 },
    limits: { bytes: 1000, everyMs: 5, ...limits },
    treeLimits: TREE,
    path: join(box.path, 'checkpoint.tar'),
    over: over.signal,
    log: (line) => said.push(line),
  });
  await checkpoints.lay(folder);
  const run = {
    read: () => livingTree(folder),
    over: ended.signal,
    exitCode: undefined as number | undefined,
  };
  let keeping: Promise<void> | undefined;
  return {
    ...{ kept, folder, said, over },
    start: () => {
      keeping = checkpoints.keep('/checkpoint', run satisfies LiveRun);
    },
    end: async (exitCode?: number) => {
      run.exitCode = exitCode;
      ended.abort();
      await keeping;
    },
    [Symbol.asyncDispose]: async () => {
      over.abort();
      ended.abort();
      await keeping;
      await box[Symbol.asyncDispose]();
    },
  };
}

/** What another attempt finds. */
async function laid(kept: OneCheckpoint): Promise<Record<string, string>> {
  await using next = await openRun(kept);
  const files: Record<string, string> = {};
  for (const path of await listing(next.folder))
    files[path] = await readFile(join(next.folder, path), 'utf8').catch(() => 'a folder');
  return files;
}

test('What a program has renamed into its folder is there for the next attempt, and is sent when it changes alone', async (t) => {
  await using run = await openRun();
  const { kept, folder } = run;
  t.deepEqual(await listing(folder), []);
  run.start();
  await mkdir(join(folder, 'step-1'));
  await writeFile(join(folder, 'step-1', 'weights'), 'one');
  await eventually(t, async (t) =>
    t.deepEqual(await laid(kept), { 'step-1': 'a folder', 'step-1/weights': 'one' }),
  );
  const sent = kept.puts.length;
  await writeFile(join(folder, '.half'), 'half of it');
  await eventually(t, (t) => t.is(kept.puts.length, sent));
  await rename(join(folder, '.half'), join(folder, 'state'));
  await eventually(t, async (t) => t.is((await laid(kept)).state, 'half of it'));
  await rm(join(folder, 'step-1'), { recursive: true });
  await eventually(t, async (t) => t.deepEqual(await laid(kept), { state: 'half of it' }));
  await run.end(0);
  t.deepEqual(run.said, ['checkpoint: what changes is kept for another attempt']);
});

test('The last one of a run that was stopped is kept, and of one that is another’s or done none', async (t) => {
  for (const [exitCode, reason, expected] of [
    [undefined, 'released', 1],
    [137, undefined, 1],
    [undefined, 'stale', 0],
    [undefined, 'cancelled', 0],
    [0, undefined, 0],
  ] as const) {
    await using run = await openRun(new OneCheckpoint(), { everyMs: 1e6 });
    run.start();
    await writeFile(join(run.folder, 'state'), 'last');
    if (reason !== undefined) run.over.abort(new AttemptAborted(reason));
    await run.end(exitCode);
    t.is(run.kept.puts.length, expected, `${exitCode} ${reason}`);
  }
});

test('A program that leaves nothing has no checkpoint, and none is spoken of', async (t) => {
  await using run = await openRun(new OneCheckpoint(), { everyMs: 1e6 });
  run.start();
  await run.end(1);
  t.deepEqual([run.kept.puts, run.said], [[], []]);
});

test('What is too large, or no file, does not end the run, and is told once', async (t) => {
  await using run = await openRun();
  const { kept, folder, said } = run;
  await writeFile(join(folder, 'huge'), '');
  await truncate(join(folder, 'huge'), 10e9);
  run.start();
  await eventually(t, (t) => t.is(said.length, 1));
  t.is(
    said[0],
    'checkpoint: it could not be kept. Its files have more than 1.0 kB, the most that this worker keeps.',
  );
  await rm(join(folder, 'huge'));
  await symlink('/etc/passwd', join(folder, 'link'));
  await writeFile(join(folder, 'state'), 'small');
  await eventually(t, async (t) => t.deepEqual(await laid(kept), { state: 'small' }));
  t.is(said[1], 'checkpoint: link is a link, a device, or may not be read, and is left out');
  await mkdir(join(folder, '.many'));
  for (let index = 0; index < 200; index += 1) await writeFile(join(folder, '.many', `${index}`), '');
  await rename(join(folder, '.many'), join(folder, 'many'));
  await eventually(t, (t) => t.regex(said.at(-1) ?? '', /There are more than 100 files and folders/));
  t.deepEqual(await laid(kept), { state: 'small' });
});

test('A program that writes all the time is kept up with at its pace, and storage that is away is asked again', async (t) => {
  await using run = await openRun();
  const { kept, folder, said } = run;
  kept.fault = () => new PlatformError('quota_exceeded', 'There is no room for it.');
  run.start();
  const enough = new AbortController();
  const writer = (async () => {
    for (let step = 0; !enough.signal.aborted; step += 1) {
      await writeFile(join(folder, '.new'), String(step).padStart(9));
      await rename(join(folder, '.new'), join(folder, 'step'));
    }
  })();
  await eventually(t, (t) =>
    t.deepEqual(said, ['checkpoint: it could not be kept. There is no room for it.']),
  );
  kept.fault = () => undefined;
  await eventually(t, (t) => t.true(kept.puts.length > 2));
  enough.abort();
  await writer;
  await eventually(t, async (t) =>
    t.deepEqual(await laid(kept), { step: await readFile(join(folder, 'step'), 'utf8') }),
  );
  kept.fault = () => new PlatformError('stale_attempt', 'It is another worker’s.');
  await writeFile(join(folder, 'step'), 'stale');
  await run.end(1);
  t.deepEqual(said.slice(1), ['checkpoint: what changes is kept for another attempt']);
});

test('A checkpoint that does not come whole is not gone on from', async (t) => {
  await using run = await openRun();
  await writeFile(join(run.folder, 'state'), 'x'.repeat(900));
  run.start();
  await eventually(t, (t) => t.is(run.kept.puts.length, 1));
  const half = new OneCheckpoint();
  half.puts.push((run.kept.puts[0] ?? Buffer.alloc(0)).subarray(0, 700));
  await t.throwsAsync(openRun(half), { code: 'unavailable', message: /not whole/ });
});
