import { mkdtempDisposable, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { ROOT } from './report.ts';
import { TestRun } from './test-run.ts';

/** Runs the tests of a package with these files by themselves, as a run of all packages does. */
async function runPackage(files: Readonly<Record<string, string>>) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-test-run-test-'));
  const observe = pathToFileURL(join(import.meta.dirname, 'observe.ts')).href;
  const all = {
    'package.json': '{ "type": "module" }',
    'ava.config.js': `import { REPORTING } from '${observe}'; export default { ...REPORTING, timeout: '5m' };`,
    ...files,
  };
  for (const [name, text] of Object.entries(all)) await writeFile(join(folder.path, name), text);
  await symlink(join(ROOT, 'node_modules'), join(folder.path, 'node_modules'));
  const printed: string[] = [];
  const unstableFile = join(folder.path, 'unstable');
  const run = new TestRun({
    ...{ folder: folder.path, unstableFile, signal: new AbortController().signal },
    environment: {
      ...process.env,
      PATH: `${join(ROOT, 'node_modules/.bin')}${delimiter}${process.env.PATH}`,
    },
    print: (line) => void printed.push(line),
  });
  const cwd = relative(ROOT, folder.path);
  await run.program(['ava'], { cwd });
  await run.filesThatFailed();
  const verdict = await run.end();
  const kept = await readFile(unstableFile, 'utf8').catch(() => '');
  return { verdict, printed, last: printed.at(-1), kept, at: (name: string) => `${cwd}/${name}` };
}

const FINE = `import test from 'ava'; test('it is fine', (t) => t.pass());`;

test('A test that fails once and passes alone is told of, kept, and lets the run be green', async (t) => {
  const { verdict, last, kept, at } = await runPackage({
    'a.test.js': FINE,
    'b.test.js': `import test from 'ava'; import { existsSync, writeFileSync } from 'node:fs';
      test('it is there', (t) => { const before = existsSync('mark'); writeFileSync('mark', ''); t.is(before, true); });`,
  });
  t.like(verdict, { isRed: false, failed: 0 });
  const [, what, title, , ...text] = verdict.lines;
  t.is(what, `Unstable: failed once, passed alone: ${at('b.test.js')}`);
  t.is(title, '  it is there');
  t.regex(text.join('\n'), /b\.test\.js:2\n[\s\S]*- false\n *\+ true/);
  t.is(last, '2 passed, 0 failed, 1 unstable');
  t.like(JSON.parse(kept), { file: at('b.test.js'), title: 'it is there' });
});

test('A test that fails alone too makes the run red, and its assertion stands at the end', async (t) => {
  const { verdict, last, kept, at } = await runPackage({
    'a.test.js': FINE,
    'b.test.js': `import test from 'ava'; test('one is two', (t) => { t.log('so much is known'); t.is(1, 2); });`,
    'c.test.js': `import test from 'ava'; test('none ends', (t) => { process.exit(3); });`,
    'd.test.js': 'export {};',
  });
  t.is(verdict.isRed, true);
  const text = verdict.lines.join('\n');
  t.regex(text, /What failed:\n/);
  for (const name of ['b', 'c', 'd']) t.true(text.includes(`✘ ${at(`${name}.test.js`)}`), text);
  t.regex(text, /one is two\n\n *ℹ so much is known\n[\s\S]*Difference[\s\S]*- 1\n *\+ 2/);
  t.regex(last ?? '', /^1 passed, [3-9] failed$/);
  t.is(kept, '');
});

test('A process that a signal ends makes the run red, and the files that were running are named', async (t) => {
  const { verdict, last, at } = await runPackage({
    'a.test.js': `import test from 'ava'; test('it dies', async (t) => { process.kill(process.pid, 'SIGSEGV'); await new Promise(() => undefined); });`,
  });
  t.is(verdict.isRed, true);
  const text = verdict.lines.join('\n');
  t.regex(text, /was gone before its end \(.*SIGSEGV\); these files were running:/);
  t.true(text.includes(at('a.test.js')), text);
  t.is(last, '0 passed, 1 failed');
});
