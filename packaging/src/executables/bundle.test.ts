import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { ruleFile } from './bundle.ts';

const INPUTS = ['plain.ts', 'with space.ts', 'money$.ts'];

test('A target is made again when an input changes or is removed', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'morpheo-rule-'));
  t.teardown(() => rm(cwd, { recursive: true }));
  const made = async () => (await promisify(execFile)('make', ['--silent'], { cwd })).stdout;
  await writeFile(
    join(cwd, 'Makefile'),
    'all: target\ninclude rule\ntarget:\n\t@touch target && echo made\n',
  );
  await writeFile(join(cwd, 'rule'), ruleFile('target', INPUTS));
  for (const input of INPUTS) await writeFile(join(cwd, input), '');

  t.is(await made(), 'made\n');
  t.is(await made(), '');
  for (const input of INPUTS) {
    await rm(join(cwd, input));
    t.is(await made(), 'made\n', input);
    // What was removed is no input any more, as the next rule says.
    await writeFile(join(cwd, 'rule'), ruleFile('target', INPUTS.slice(INPUTS.indexOf(input) + 1)));
    t.is(await made(), '', input);
  }
});
