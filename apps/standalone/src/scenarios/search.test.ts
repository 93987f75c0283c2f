import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { runCli } from '@morpheo/cli';
import type { SearchView } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { startPlatform } from '../platform.ts';

const ROOT = join(import.meta.dirname, '../../../..');

/** Runs a line of the guide. */
async function type(line: string, env: Readonly<Record<string, string>>) {
  const [stdout, stderr] = [new Printed(), new Printed()];
  const argv = line.split(/\s+/).map((word) => word.replace(/^examples\//, `${ROOT}/examples/`));
  const code = await runCli({ argv, env, stdout, stderr });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

class Printed extends Writable {
  text = '';

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.text += Buffer.from(chunk).toString();
    done();
  }
}

/** The command lines of a section of the guide, without `npx morpheo` and what is said of them. */
async function linesOf(section: string): Promise<string[]> {
  const page = await readFile(join(ROOT, 'docs/search.md'), 'utf8');
  const text = page.split(/^## /m).find((one) => one.startsWith(section)) ?? '';
  return [...text.matchAll(/^npx morpheo ([^#\n]*)/gm)].map(([, line = '']) => line.trim());
}

test('The search of the guide runs as it says, and its file is the one that it shows', async (t) => {
  const page = await readFile(join(ROOT, 'docs/search.md'), 'utf8');
  const file = await readFile(join(ROOT, 'examples/search/search.json'), 'utf8');
  t.true(page.includes(file.trim()));
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-search-'));
  const home = join(folder.path, 'home');
  await using _platform = await startPlatform({ folder: home, log: silentLog });
  const env = { MORPHEO_HOME: home };
  const [up, upload = '', run = '', list = '', show = ''] = await linesOf('Run one');
  t.is(up, 'up');
  const uploaded = await type(`${upload} --quiet`, env);
  t.is(uploaded.code, 0, uploaded.stderr);
  // Few trials: what is shown is that they run, and not how good they get.
  const few = `${run.replace('<id>', uploaded.stdout.trim())} --trials 4`;
  const ran = await type(few, env);
  t.is(ran.code, 0, ran.stderr);
  t.regex(ran.stdout, /^ +1 {2}trial \d( \(random\))? at rung 2: /m);
  t.regex(ran.stdout, /^random +4 trials, /m);
  const [, id = ''] = /^search ([0-9a-f-]+)$/m.exec(ran.stderr) ?? [];
  t.true((await type(list, env)).stdout.includes(id.slice(0, 8)));
  const shown = await type(`${show.replace('<search>', id.slice(0, 8))} --json`, env);
  const view = JSON.parse(shown.stdout) as SearchView;
  t.like(view, { status: 'done', trials: 4, why: 'all 4 trials were made', control: { trials: 4 } });
  t.true(view.rungs.some(({ resource, done }) => resource === 6 && done > 0));
});
