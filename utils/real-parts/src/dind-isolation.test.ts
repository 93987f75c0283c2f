import anyTest, { type TestFn } from 'ava';
import { docker, inner } from './dind/docker.ts';
import { startDind, withParts } from './index.ts';

const test = withParts(anyTest as TestFn, 'docker');
const MIB = 1024 * 1024;
const IMAGE = 'busybox:1.36';

/** What a worker gives the containers that it runs. */
const HARDENED = [
  ...['--network', 'none', '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
  ...['--user', '65534:65534', '--memory', '64m', '--memory-swap', '64m', '--cpus', '0.5'],
  ...['--pids-limit', '32', '--ulimit', 'nofile=256:256', '--ulimit', 'fsize=1000000:1000000', '--init'],
  ...['--tmpfs', '/tmp:rw,noexec,nosuid,nodev,size=8m,mode=1777'],
];

test.beforeEach((t) => {
  t.timeout(300_000, 'the first daemon of a machine makes the images');
});

test.serial('A hardened container runs within its limits', async (t) => {
  await using dind = await startDind();
  const sh = (script: string) => inner(dind, 'run', '--rm', ...HARDENED, IMAGE, 'sh', '-c', script);
  t.is(await sh('id -u; ls /sys/class/net; ulimit -n'), '65534\nlo\n256');
  t.regex(await sh('grep CapEff /proc/self/status'), /\b0000000000000000$/);
  t.regex(await sh('grep NoNewPrivs /proc/self/status'), /\b1$/);
  await t.throwsAsync(sh('echo x > /new'), { message: /Read-only file system/ });
  await t.throwsAsync(sh('head -c 2000000 /dev/zero > /tmp/large'), { code: 153 });
  const fill = 'for i in $(seq 20); do head -c 900000 /dev/zero > /tmp/$i; done 2>/dev/null; du -sk /tmp';
  t.true(Number.parseInt(await sh(fill), 10) <= 8192);
  const forks = 'for i in $(seq 100); do sleep 15 & done 2>&1 | tail -1; wait';
  t.regex(await sh(forks), /can't fork/);
});

test.serial('A container that takes too much memory is killed, and the daemon goes on', async (t) => {
  await using dind = await startDind({ memory: 300 * MIB });
  const own = await inner(dind, 'create', ...HARDENED, IMAGE, 'tail', '/dev/zero');
  const unbounded = await inner(dind, 'create', '--network', 'none', IMAGE, 'tail', '/dev/zero');
  for (const id of [own, unbounded]) {
    await inner(dind, 'start', id);
    t.is(await inner(dind, 'wait', id), '137');
  }
  t.is(await inner(dind, 'run', '--rm', IMAGE, 'echo', 'alive'), 'alive');
});

test.serial('Nothing outside can be reached, neither by the daemon nor from its containers', async (t) => {
  await using dind = await startDind();
  t.is(await dind.exec('ls', '/sys/class/net'), 'lo');
  await t.throwsAsync(inner(dind, 'pull', 'hello-world'), {
    message: /no such host|dial tcp|lookup|unreachable/,
  });
  t.is(await inner(dind, 'run', '--rm', '--network', 'host', IMAGE, 'ls', '/sys/class/net'), 'lo');
  t.is(await inner(dind, 'run', '--rm', IMAGE, 'ls', '/sys/class/net'), 'lo');
});

test.serial('Whoever owns the socket cannot make a privileged container', async (t) => {
  await using dind = await startDind();
  await t.throwsAsync(inner(dind, 'run', '--rm', '--privileged', IMAGE, 'true'), {
    message: /operation not permitted/,
  });
  await t.throwsAsync(inner(dind, 'run', '--rm', '--cap-add', 'ALL', IMAGE, 'true'), {
    message: /operation not permitted/,
  });
});

test.serial('The disks and the kernel of the host are out of reach', async (t) => {
  await using dind = await startDind();
  // A node of every disk that the kernel knows: made, but not to be opened.
  const disks = `for disk in /sys/class/block/*; do
    mknod /tmp/disk b $(tr : ' ' < $disk/dev) && ! head -c 1 /tmp/disk 2>/tmp/why || exit 9
    grep -q 'not permitted' /tmp/why || exit 8
    rm /tmp/disk
  done`;
  await t.notThrowsAsync(inner(dind, 'run', '--rm', IMAGE, 'sh', '-c', disks));
  const wide = ['--cap-add', 'SYS_ADMIN', '--security-opt', 'seccomp=unconfined'];
  const kernel = 'date -s 2020-01-01 2>&1; echo 1 2>&1 > /proc/sys/vm/drop_caches; true';
  const refusals = await inner(dind, 'run', '--rm', ...wide, IMAGE, 'sh', '-c', kernel);
  t.regex(refusals, /can't set date: Operation not permitted/);
  t.regex(refusals, /Read-only file system/);
  await t.throwsAsync(dind.exec('touch', '/new'), { message: /Read-only file system/ });
});

test.serial('A daemon has the rights it needs and no others', async (t) => {
  await using dind = await startDind();
  const format = '{{.HostConfig.Privileged}} {{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}}';
  t.is(await docker('inspect', '--format', format, dind.container), 'false none true');
  const effective = await dind.exec('grep', 'CapEff', '/proc/1/status');
  const rights = BigInt(`0x${effective.split(/\s+/)[1]}`);
  const [SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_BOOT, SYS_TIME] = [16n, 17n, 19n, 21n, 22n, 25n];
  t.true((rights & (1n << SYS_ADMIN)) !== 0n);
  for (const right of [SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_BOOT, SYS_TIME])
    t.is(rights & (1n << right), 0n);
});
