import { execFileSync } from 'node:child_process';
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type FailureReason, OrderFailure } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test, { type ExecutionContext } from 'ava';
import { collectFile, collectTree, openOutput } from './collect.ts';

const LIMITS = { bytes: 1000, files: 10, depth: 3, pathBytes: 100 };
const OPTIONS = { limits: LIMITS, at: '/data/model' };
const FILE = { maxBytes: 100, at: '/data/model' };

async function fails(
  t: ExecutionContext,
  doing: Promise<unknown>,
  reason: FailureReason,
  file: string,
): Promise<string> {
  const error = await t.throwsAsync(doing, { instanceOf: OrderFailure });
  t.is(error.failure.reason, reason);
  t.is(error.failure.file, file);
  return error.message;
}

test('Regular files are listed by path, with their sizes and whether they may be executed', async (t) => {
  await using box = await temporaryFolder();
  await mkdir(join(box.path, 'weights', 'empty'), { recursive: true });
  await writeFile(join(box.path, 'weights', '1.bin'), 'xyz');
  await writeFile(join(box.path, 'model_trained.json'), '{}');
  await writeFile(join(box.path, 'run.sh'), '', { mode: 0o755 });
  t.deepEqual(await collectTree(box.path, OPTIONS), [
    { path: 'model_trained.json', size: 2, executable: false },
    { path: 'run.sh', size: 0, executable: true },
    { path: 'weights/1.bin', size: 3, executable: false },
  ]);
});

test('An empty folder has no files, and a missing one is a missing result', async (t) => {
  await using box = await temporaryFolder();
  t.deepEqual(await collectTree(box.path, OPTIONS), []);
  await fails(t, collectTree(join(box.path, 'gone'), OPTIONS), 'missing_result', '/data/model');
});

test('A link to a file of the worker is refused, as a model and as a result', async (t) => {
  await using box = await temporaryFolder();
  await symlink('/etc/passwd', join(box.path, 'model'));
  const message = await fails(t, collectTree(box.path, OPTIONS), 'invalid_result', '/data/model/model');
  t.regex(message, /is a link: only regular files and folders/);
  await fails(t, collectFile(box.path, 'model', FILE), 'invalid_result', '/data/model/model');
});

test('A link in the place of a folder is refused', async (t) => {
  await using box = await temporaryFolder();
  await mkdir(join(box.path, 'real'));
  await writeFile(join(box.path, 'real', 'x'), 'x');
  await symlink('real', join(box.path, 'linked'));
  await fails(t, collectTree(join(box.path, 'linked'), OPTIONS), 'invalid_result', '/data/model');
  await fails(t, collectFile(box.path, 'linked/x', FILE), 'invalid_result', '/data/model/linked');
  await fails(t, collectFile(join(box.path, 'linked'), 'x', FILE), 'invalid_result', '/data/model');
});

test('A FIFO is refused and does not block', async (t) => {
  await using box = await temporaryFolder();
  execFileSync('mkfifo', [join(box.path, 'pipe')]);
  await fails(t, collectTree(box.path, OPTIONS), 'invalid_result', '/data/model/pipe');
  await fails(t, collectFile(box.path, 'pipe', FILE), 'invalid_result', '/data/model/pipe');
});

test('A socket is refused', async (t) => {
  await using box = await temporaryFolder();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(box.path, 'socket'), resolve));
  await fails(t, collectTree(box.path, OPTIONS), 'invalid_result', '/data/model/socket');
  await fails(t, collectFile(box.path, 'socket', FILE), 'invalid_result', '/data/model/socket');
  await new Promise((resolve) => server.close(resolve));
});

test('Names that are odd or not UTF-8 are refused', async (t) => {
  for (const name of ['line\nbreak', 'back\\slash', Buffer.from([0x62, 0xff])]) {
    await using box = await temporaryFolder();
    await writeFile(Buffer.concat([Buffer.from(`${box.path}/`), Buffer.from(name)]), '');
    const error = await t.throwsAsync(collectTree(box.path, OPTIONS), { instanceOf: OrderFailure });
    t.is(error.failure.reason, 'invalid_result');
    t.notRegex(error.message, /\n/);
  }
});

test('A tree that is too deep is refused before its path gets too long', async (t) => {
  await using box = await temporaryFolder();
  await mkdir(join(box.path, 'a/b/c/d/e'), { recursive: true });
  const message = await fails(t, collectTree(box.path, OPTIONS), 'invalid_result', '/data/model/a/b/c/d');
  t.regex(message, /deeper than 3 folders/);
});

test('Too many entries are refused, folders counted', async (t) => {
  await using box = await temporaryFolder();
  for (let index = 0; index < 11; index += 1) await mkdir(join(box.path, `folder-${index}`));
  t.regex(await fails(t, collectTree(box.path, OPTIONS), 'disk_full', '/data/model'), /more than 10 files/);
});

test('A sparse file counts as long as it says that it is', async (t) => {
  await using box = await temporaryFolder();
  await writeFile(join(box.path, 'huge'), '');
  await truncate(join(box.path, 'huge'), 2 ** 40);
  t.regex(
    await fails(t, collectTree(box.path, OPTIONS), 'disk_full', '/data/model'),
    /more than 1000 bytes .*huge/,
  );
  await fails(t, collectFile(box.path, 'huge', FILE), 'disk_full', '/data/model/huge');
});

test('A result is read whole, from a folder below too', async (t) => {
  await using box = await temporaryFolder();
  await mkdir(join(box.path, 'perf'));
  await writeFile(join(box.path, 'perf', 'performance.json'), '{"perf":1}');
  const bytes = await collectFile(box.path, 'perf/performance.json', FILE);
  t.is(Buffer.from(bytes).toString(), '{"perf":1}');
});

test('A result that is not there is named with its path in the container', async (t) => {
  await using box = await temporaryFolder();
  const message = await fails(
    t,
    collectFile(box.path, 'x.json', FILE),
    'missing_result',
    '/data/model/x.json',
  );
  t.is(message, '/data/model/x.json was not written.');
  await writeFile(join(box.path, 'file'), '');
  await fails(t, collectFile(box.path, 'file/x', FILE), 'invalid_result', '/data/model/file');
});

test('A folder in the place of a result is refused', async (t) => {
  await using box = await temporaryFolder();
  await mkdir(join(box.path, 'performance.json'));
  await fails(
    t,
    collectFile(box.path, 'performance.json', FILE),
    'invalid_result',
    '/data/model/performance.json',
  );
});

test('An output stays open until it is disposed', async (t) => {
  await using box = await temporaryFolder();
  await writeFile(join(box.path, 'prediction'), 'abc');
  const output = await openOutput(box.path, 'prediction', FILE);
  t.is(output.size, 3);
  await output[Symbol.asyncDispose]();
  await t.throwsAsync(output.file.stat(), { code: 'EBADF' });
});

test('Collecting stops with the reason of an abort', async (t) => {
  await using box = await temporaryFolder();
  await writeFile(join(box.path, 'a'), '');
  const reason = new Error('The order was cancelled');
  const error = await t.throwsAsync(collectTree(box.path, { ...OPTIONS, signal: AbortSignal.abort(reason) }));
  t.is(error, reason);
});
