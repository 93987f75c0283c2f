import { execFile } from 'node:child_process';
import { access, chmod, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TEST_REPORT } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';

const NOBODY = { uid: 65_534, gid: 65_534 };
const PACKAGE = join(import.meta.dirname, '../..');
/** The suites of outputs and workspaces: to root every mode is open, so that what a mode forbids is seen by others alone. */
const SUITES = [
  'src/files/*.test.ts',
  'src/outputs/collect.test.ts',
  'src/runtime/folders.test.ts',
  'src/workflows/odd-modes.test.ts',
];

test('The suites of outputs and workspaces pass for a user that is not root', async (t) => {
  t.timeout(300_000);
  if (process.getuid?.() !== 0) return t.log('This user is not root: the suites themselves show it.');
  const ava = fileURLToPath(new URL('cli.js', import.meta.resolve('ava')));
  if (!(await isOpenToAll(ava))) return t.log(`SKIPPED: other users may not read ${ava}.`);
  await using home = await temporaryFolder();
  await chmod(home.path, 0o777);
  // The report of the run around is not its to write.
  const { [TEST_REPORT]: _, ...environment } = process.env;
  const env = { ...environment, HOME: home.path, TMPDIR: home.path };
  const { code, output } = await run([ava, '--tap', ...SUITES], { ...NOBODY, cwd: PACKAGE, env });
  t.is(code, 0, output.slice(-20_000));
  t.regex(output, /^ok \d+/m);
});

/** Whether anybody may read a file and enter the folders on its way. */
async function isOpenToAll(path: string): Promise<boolean> {
  const script = `require('node:fs').accessSync(${JSON.stringify(path)})`;
  await access(path, constants.R_OK);
  return (await run(['-e', script], NOBODY)).code === 0;
}

function run(args: readonly string[], options: object): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { ...options, maxBuffer: 64 * 1024 ** 2 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, output: `${stdout}\n${stderr}` });
    });
  });
}
