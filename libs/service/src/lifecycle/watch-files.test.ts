import { mkdtempDisposable, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { memoryLog } from '../log/index.ts';
import { eventually } from '../testing/eventually.ts';
import { watchFiles } from './watch-files.ts';

/** A folder of files that are watched, and what came of it. */
async function openWatched(...names: string[]) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'watched-')));
  const paths = names.map((name) => join(folder.path, name));
  for (const path of paths) await writeFile(path, 'first');
  const log = memoryLog();
  const seen: string[] = [];
  const changed = (texts: readonly string[]): void => {
    if (texts.includes('bad')) throw new Error('This is no good');
    seen.push(texts.join(' '));
  };
  stack.use(await watchFiles({ name: 'secrets', paths, changed, everyMs: 1, log }));
  const opened = stack.move();
  const warnings = () => log.entries.filter(({ level }) => level === 'warn');
  return { paths, seen, warnings, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

test('A file is read now, and again when it was written over, replaced, or points elsewhere', async (t) => {
  await using watched = await openWatched('file');
  const [path = ''] = watched.paths;
  t.deepEqual(watched.seen, ['first']);
  await writeFile(path, 'other');
  await eventually(t, (t) => t.is(watched.seen.at(-1), 'other'));
  await writeFile(`${path}.new`, 'third');
  await rename(`${path}.new`, path);
  await eventually(t, (t) => t.is(watched.seen.at(-1), 'third'));
  await writeFile(`${path}.target`, 'fourth');
  await rm(path);
  await symlink(`${path}.target`, path);
  await eventually(t, (t) => t.is(watched.seen.at(-1), 'fourth'));
});

test('Files that belong together are read together', async (t) => {
  await using watched = await openWatched('cert', 'key');
  const [, key = ''] = watched.paths;
  t.deepEqual(watched.seen, ['first first']);
  await writeFile(key, 'second');
  await eventually(t, (t) => t.is(watched.seen.at(-1), 'first second'));
});

test('What is no good, or gone, is told once, and what was read before holds on', async (t) => {
  await using watched = await openWatched('file');
  const [path = ''] = watched.paths;
  await writeFile(path, 'bad');
  await eventually(t, (t) => t.is(watched.warnings().length, 1));
  await rm(path);
  await eventually(t, (t) => t.is(watched.warnings().length, 2));
  await writeFile(path, 'good');
  await eventually(t, (t) => t.is(watched.seen.at(-1), 'good'));
  // A file that is being written over is empty for a moment.
  t.deepEqual(new Set(watched.seen.filter((text) => text !== '')), new Set(['first', 'good']));
  t.is(watched.warnings().length, 2);
});

test('At first they have to be there, and good', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'watched-'));
  const path = join(folder.path, 'file');
  const changed = () => {
    throw new Error('This is no good');
  };
  const watching = { name: 'secrets', paths: [path], changed, log: memoryLog() };
  await t.throwsAsync(watchFiles(watching), { message: `${path} (the secrets) cannot be read.` });
  await writeFile(path, 'x');
  await t.throwsAsync(watchFiles(watching), { message: 'This is no good' });
});
