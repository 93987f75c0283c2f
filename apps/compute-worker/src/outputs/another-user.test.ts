import { execFile } from 'node:child_process';
import { access, chmod, chown, constants, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSharedDind, TEST_REPORT, withParts } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { z } from 'zod';

const NOBODY = { uid: 65_534, gid: 65_534 };
const PACKAGE = join(import.meta.dirname, '../..');
const FIXTURE = join(import.meta.dirname, 'docker-worker.fixture.ts');
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

const dockerTest = withParts(test, 'docker');

dockerTest(
  'Containers of a worker that is not root may close all that they leave, and nothing stays',
  async (t) => {
    t.timeout(300_000);
    if (process.getuid?.() !== 0) return t.log('Only root can be somebody else.');
    if (!(await isOpenToAll(FIXTURE))) return t.log(`SKIPPED: other users may not read ${FIXTURE}.`);
    await using dind = await openSharedDind();
    const jobs = join(dind.jobs, 'of-nobody');
    await mkdir(jobs);
    await chown(jobs, NOBODY.uid, NOBODY.gid);
    for (const path of [dirname(dind.jobs), dind.jobs, dirname(dind.socketPath)]) await chmod(path, 0o755);
    await chmod(dind.socketPath, 0o666);
    const env = { PATH: process.env.PATH, HOME: jobs, TMPDIR: jobs };
    const { code, output } = await run([FIXTURE, `unix://${dind.socketPath}`, jobs], { ...NOBODY, env });
    t.is(code, 0, output);
    const { reports, left } = z
      .object({ reports: z.array(z.looseObject({ outcome: z.string() })), left: z.array(z.string()) })
      .parse(JSON.parse(output));
    t.is(reports.length, 1, 'at the first attempt');
    t.like(reports[0], { outcome: 'done', result: { performance: { perf: 1 } } });
    t.deepEqual(left, []);
  },
);

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
