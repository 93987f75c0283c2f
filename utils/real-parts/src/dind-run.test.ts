import { chmod, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import anyTest, { type TestFn } from 'ava';
import { copyImages, docker, inner, output } from './dind/docker.ts';
import { dindImage, ensureBaseImages, untilItAnswers } from './dind/outer.ts';
import { withParts } from './index.ts';

const test = withParts(anyTest as TestFn, 'docker');
const script = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const run = (...args: readonly string[]) => output(script('dind-daemon/run'), args);
const stop = (...args: readonly string[]) => output(script('dind-daemon/stop'), args);

/** A folder that goes with the test, and the name of a daemon that does. */
async function scratch() {
  const folder = await mkdtemp(join(tmpdir(), 'dind-run-'));
  await chmod(folder, 0o755);
  const name = basename(folder).toLowerCase();
  return {
    folder,
    name,
    async [Symbol.asyncDispose]() {
      await docker('rm', '--force', '--volumes', name).catch(() => undefined);
      const volumes = ['lib', 'socket', 'jobs', 'certs'].map((volume) => `${name}-${volume}`);
      await docker('volume', 'rm', '--force', ...volumes);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

test.beforeEach((t) => {
  t.timeout(300_000, 'the image of the daemon may have to be made');
});

test.serial('A worker that is not root uses the socket and owns the jobs', async (t) => {
  if (process.getuid?.() !== 0) return t.pass('only root can be somebody else');
  await using own = await scratch();
  const [socket, jobs] = [join(own.folder, 'run'), join(own.folder, 'jobs')];
  await Promise.all([mkdir(socket), mkdir(jobs)]);
  const places = ['--socket', socket, '--jobs', jobs];
  const user = ['--uid', '4242', '--gid', '4343'];
  const id = await run(
    '--name',
    own.name,
    '--image',
    await dindImage(),
    ...places,
    ...user,
    '--memory',
    '1g',
  );
  t.is(await docker('inspect', '--format', '{{.State.Running}}', id), 'true');
  const { uid, gid, mode } = await stat(jobs);
  t.deepEqual({ uid, gid, mode: mode & 0o777 }, { uid: 4242, gid: 4343, mode: 0o770 });
  const as = (user: string, group: string) =>
    output('setpriv', [
      ...['--reuid', user, '--regid', group, '--clear-groups'],
      ...['docker', '--host', `unix://${socket}/docker.sock`, 'version', '--format', '{{.Server.Os}}'],
    ]);
  t.is(await as('4242', '4343'), 'linux');
  await t.throwsAsync(as('4444', '4444'), { message: /permission denied/ });
});

test.serial('Stopping waits for what runs, and leaves nothing if told so', async (t) => {
  await using own = await scratch();
  const socketPath = join(own.folder, 'docker.sock');
  const image = await dindImage();
  await run('--name', own.name, '--image', image, '--socket', own.folder, '--memory', '1g', '--cpus', '1');
  await ensureBaseImages(['busybox:1.36']);
  await copyImages(['busybox:1.36'], socketPath);
  const script = 'trap "exit 3" TERM; sleep 2';
  const id = await inner({ socketPath }, 'run', '--detach', 'busybox:1.36', 'sh', '-c', script);
  await stop('--wait', '60', own.name);
  await docker('start', own.name);
  await untilItAnswers(own.name, () => inner({ socketPath }, 'version'));
  t.is(await inner({ socketPath }, 'inspect', '--format', '{{.State.ExitCode}}', id), '0');
  await stop('--purge', own.name);
  t.is(await docker('ps', '--all', '--quiet', '--filter', `name=^${own.name}$`), '');
  t.is(await docker('volume', 'ls', '--quiet', '--filter', `name=^${own.name}-`), '');
});

test.serial('The command is shown instead of run if told so', async (t) => {
  const command = await run('--print', '--name', 'x', '--memory', '1g', '--cpus', '1', '--jobs', '/srv/jobs');
  t.regex(command, /^docker create --name x /);
  t.regex(command, /--volume \/srv\/jobs:\/srv\/jobs /);
  t.notRegex(command, /--privileged/);
});

test.serial('A wrong option says what is wrong', async (t) => {
  await t.throwsAsync(run('--memroy', '1g'), { message: /unknown option --memroy/ });
  await t.throwsAsync(run('--storage', '1g'), { message: /--storage needs --loop/ });
  await t.throwsAsync(stop('no-such-daemon'), { message: /there is no container no-such-daemon/ });
});

test.serial('A base image that is built twice has the same bytes', async (t) => {
  await using own = await scratch();
  const ids: string[] = [];
  for (const name of ['one', 'two']) {
    await mkdir(join(own.folder, name, 'images'), { recursive: true });
    const parts = `MORPHEO_PARTS=${join(own.folder, name)}`;
    await output('env', [parts, script('base-images/images/busybox'), 'busybox:1.36']);
    ids.push(await readFile(join(own.folder, name, 'images', 'busybox_1.36.tar.id'), 'utf8'));
  }
  t.regex(ids[0] ?? '', /^[0-9a-f]{64}\n$/);
  t.is(ids[0], ids[1]);
});

test.serial('A base image that several want at once is built once', async (t) => {
  await using own = await scratch();
  const build = ['-c', '. "$0" && build busybox:1.36 2>&1', script('base-images/lib.sh')];
  const env = [`MORPHEO_PARTS=${own.folder}`, 'bash', ...build];
  const said = await Promise.all([1, 2, 3].map(async () => await output('env', env)));
  t.deepEqual(said.toSorted(), ['', '', 'base-images: building busybox:1.36 ...']);
});

test.serial('A base image that nobody has is refused with what to do', async (t) => {
  const ensure = script('base-images/ensure');
  await t.throwsAsync(output(ensure, ['--build', 'no-such-image:1']), {
    message: /no-such-image:1 is not here.*cannot be built here \(see --help\)/,
  });
});
