import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtempDisposable, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { ROOT } from '../executables/programs.ts';

const MAIN = join(ROOT, 'packaging/src/watch/main.ts');

test('A program starts again for each change of a file, also once the file was replaced', async (t) => {
  t.timeout(300_000);
  await using place = await mkdtempDisposable(join(tmpdir(), 'morpheo-watch-'));
  const at = (name: string) => join(place.path, name);
  const write = async (name: string, text: string) => await writeFile(at(name), text);
  const value = (text: string) => `export const value = '${text}';\n`;
  await mkdir(at('lib'));
  await write('lib/value.mjs', value('first'));
  await write(
    'main.mjs',
    "import { value } from './lib/value.mjs'; console.log(value); setInterval(() => {}, 1000);",
  );
  const child = spawn(process.execPath, [MAIN, at('main.mjs'), place.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const says = async (text: string) => {
    for (;;) {
      const { value: line, done } = await lines.next();
      if (done === true) return t.fail(`it ended before it said ${text}`);
      if (line === text) return t.pass();
    }
  };
  await says('first');
  for (const round of ['once', 'twice']) {
    await write('lib/beside', value(`renamed ${round}`));
    await rename(at('lib/beside'), at('lib/value.mjs'));
    await says(`renamed ${round}`);
    await rm(at('lib/value.mjs'));
    await write('lib/value.mjs', value(`made anew ${round}`));
    await says(`made anew ${round}`);
    await write('lib/value.mjs', value(`written ${round}`));
    await says(`written ${round}`);
    await rm(at('lib'), { recursive: true });
    await mkdir(at('lib'));
    await write('lib/value.mjs', value(`in a new folder ${round}`));
    await says(`in a new folder ${round}`);
  }
  await write('lib/value.mjs', 'export const value = ;');
  await says(`${at('main.mjs')} ended with 1: waiting for a change`);
  await write('lib/value.mjs', value('mended'));
  await says('mended');
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
});
