import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import anyTest, { type TestFn } from 'ava';
import { docker, inner } from './dind/docker.ts';
import { BASE_IMAGES, type Dind, startDind, withParts } from './index.ts';

const test = withParts(anyTest as TestFn, 'docker');

/** The images that a daemon has, by tag. */
const images = async (dind: Dind) =>
  sorted((await inner(dind, 'images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n'));

const sorted = (names: readonly string[]) => names.toSorted((a, b) => a.localeCompare(b));

test.beforeEach((t) => {
  t.timeout(300_000, 'the first daemon of a machine makes the images');
});

test.serial('A daemon is there within seconds, with its images', async (t) => {
  await using warm = await startDind();
  t.deepEqual(await images(warm), sorted(BASE_IMAGES));
  const began = performance.now();
  await using dind = await startDind();
  const seconds = (performance.now() - began) / 1000;
  t.log(`${seconds.toFixed(2)} s`);
  t.true(seconds < 30);
  t.is(await inner(dind, 'run', '--rm', 'busybox:1.36', 'echo', 'hello'), 'hello');
  t.regex(await inner(dind, 'run', '--rm', 'node:24-slim', 'node', '--version'), /^v24\./);
});

test.serial('Two daemons at once do not see what the other holds', async (t) => {
  await using one = await startDind();
  await using other = await startDind();
  await inner(one, 'create', '--name', 'mine', 'busybox:1.36');
  await inner(one, 'tag', 'busybox:1.36', 'mine:1');
  t.is(await inner(other, 'ps', '--all', '--quiet'), '');
  t.deepEqual(await images(other), sorted(BASE_IMAGES));
});

test.serial('The next daemon has nothing of what an earlier one was left with', async (t) => {
  let container = '';
  let folder = '';
  {
    await using dind = await startDind();
    container = await docker('inspect', '--format', '{{.Id}}', dind.container);
    folder = dind.jobs;
    await inner(dind, 'run', '--detach', '--volume', 'kept:/kept', 'busybox:1.36', 'sleep', '1000');
    const made = await inner(dind, 'run', '--detach', 'busybox:1.36', 'touch', '/new');
    await inner(dind, 'wait', made);
    await inner(dind, 'commit', made, 'mine:1');
    await writeFile(join(dind.jobs, 'file'), 'x');
  }
  t.false(existsSync(folder));
  t.is(await docker('ps', '--all', '--quiet', '--filter', `id=${container}`), '');
  await using dind = await startDind();
  t.is(await inner(dind, 'ps', '--all', '--quiet'), '');
  t.is(await inner(dind, 'volume', 'ls', '--quiet'), '');
  t.deepEqual(await images(dind), sorted(BASE_IMAGES));
});

test.serial('A base image that a test removed is back in the next daemon', async (t) => {
  {
    await using dind = await startDind();
    await inner(dind, 'rmi', 'busybox:1.36');
  }
  await using dind = await startDind();
  t.deepEqual(await images(dind), sorted(BASE_IMAGES));
  t.is(await inner(dind, 'run', '--rm', 'busybox:1.36', 'echo', 'hello'), 'hello');
});

test.serial('After a kill the daemon comes back, and what ran in it ended with 255', async (t) => {
  await using dind = await startDind();
  const id = await inner(dind, 'run', '--detach', 'busybox:1.36', 'sleep', '1000');
  await dind.kill('SIGKILL');
  await t.throwsAsync(inner(dind, 'ps'));
  const began = performance.now();
  await dind.restart();
  t.log(`back in ${((performance.now() - began) / 1000).toFixed(2)} s`);
  const state = '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}';
  t.is(await inner(dind, 'inspect', '--format', state, id), 'exited 255 false');
  t.is(await inner(dind, 'run', '--rm', 'busybox:1.36', 'echo', 'again'), 'again');
});

test.serial('A daemon that is stopped ends its containers, and starts again', async (t) => {
  await using dind = await startDind();
  const id = await inner(dind, 'run', '--detach', '--init', 'busybox:1.36', 'sleep', '1000');
  await dind.stop();
  await t.throwsAsync(inner(dind, 'ps'));
  await dind.restart();
  t.is(await inner(dind, 'inspect', '--format', '{{.State.ExitCode}}', id), '143');
});

test.serial('A frozen daemon is silent until it is thawed', async (t) => {
  await using dind = await startDind();
  await dind.kill('SIGSTOP');
  const answer = inner(dind, 'version', '--format', '{{.Server.Os}}');
  t.is(
    await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300, 'silence'))]),
    'silence',
  );
  await dind.kill('SIGCONT');
  t.is(await answer, 'linux');
});

test.serial('The jobs of a test stand at the same path in its daemon', async (t) => {
  await using dind = await startDind();
  await writeFile(join(dind.jobs, 'in'), 'from the host');
  const mount = `type=bind,source=${dind.jobs},target=/data`;
  const script = 'cat /data/in; echo new > /data/out';
  const read = await inner(dind, 'run', '--rm', '--mount', mount, 'busybox:1.36', 'sh', '-c', script);
  t.is(read, 'from the host');
  t.is(await readFile(join(dind.jobs, 'out'), 'utf8'), 'new\n');
});

test.serial('More images come in by name', async (t) => {
  await docker('tag', 'busybox:1.36', 'morpheo-test/loaded:1');
  try {
    await using dind = await startDind();
    await dind.loadImages(['morpheo-test/loaded:1']);
    t.true((await images(dind)).includes('morpheo-test/loaded:1'));
  } finally {
    await docker('rmi', 'morpheo-test/loaded:1');
  }
});

test.serial('The daemon of a test that died goes with the next one', async (t) => {
  const program = `
    import { startDind } from ${JSON.stringify(new URL('./dind.ts', import.meta.url).href)};
    const dind = await startDind();
    console.log(dind.jobs);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [folder] = (await once(createInterface(child.stdout), 'line')) as [string];
  const left = await docker('ps', '--quiet', '--filter', `volume=${folder}`);
  t.not(left, '');
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  await using _dind = await startDind();
  t.is(await docker('ps', '--all', '--quiet', '--filter', `id=${left}`), '');
  t.false(existsSync(folder));
});
