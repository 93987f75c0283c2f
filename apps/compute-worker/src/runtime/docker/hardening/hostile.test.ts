import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { collectFile, collectTree } from '../../../outputs/collect.ts';
import { eventually, openFixture } from '../../conformance/runtime-fixture.ts';
import { readAddress } from '../client/address.ts';
import { Daemon } from '../client/daemon.ts';
import { ownDaemon } from '../testing/own-daemon.ts';

/** What hostile code tries, each inside of a real container: how it ends, and what the machine notices of it. */
const { test, dind, harness } = ownDaemon();

async function ask<T>(question: (docker: Docker) => Promise<T>): Promise<T> {
  const address = readAddress(`unix://${(await dind()).socketPath}`, false);
  const daemon = new Daemon({ address, certificates: undefined, callMs: 30_000 });
  return await daemon.ask('look', question);
}

test.afterEach.always('no container is left', async (t) => {
  t.deepEqual(await ask(async (docker) => await docker.listContainers({ all: true })), []);
});

test.serial('A fork bomb stays within its processes, and others run beside it', async (t) => {
  await using fixture = await openFixture(harness());
  // What cannot fork any more ends, so that somebody has to begin again and again.
  const node = `import { spawn } from 'node:child_process';
    const bomb = () => spawn('sh', ['-c', 'f() { while :; do f & done; }; f'], { stdio: 'ignore' });
    setInterval(() => bomb().on('error', () => undefined), 50);
    console.log('x');`;
  const began = Promise.withResolvers<void>();
  // Long enough for a bomb to go off on a machine that has much else to do.
  const limits = { processes: 64, cpus: 0.5, wallMs: 30_000 };
  const bomb = fixture.run({ node }, { limits, onOutput: async () => began.resolve() });
  await began.promise;
  let most = 0;
  await eventually('the bomb has gone off', async () => {
    const [container] = await ask(async (docker) => await docker.listContainers());
    if (container === undefined) throw new Error('The bomb is over too soon');
    const stats = await ask(async (docker) => {
      return await docker.getContainer(container.Id).stats({ stream: false, 'one-shot': true });
    });
    most = Math.max(most, stats.pids_stats?.current ?? 0);
    return most >= 60;
  });
  t.true(most <= 64, `${most} processes`);
  t.is((await fixture.run({ sh: 'echo beside' })).stdout, 'beside\n');
  t.is((await bomb).ended, 'timed_out');
});

test.serial('Memory is bounded wherever it is taken', async (t) => {
  await using fixture = await openFixture(harness());
  const limits = { memoryBytes: 64_000_000 };
  const bomb = await fixture.run({ sh: 'tail /dev/zero' }, { limits });
  t.like(bomb, { ended: 'out_of_memory', exitCode: 137 });
  t.true((bomb.peakMemoryBytes ?? 0) <= limits.memoryBytes);
  const shared = await fixture.run(
    { sh: 'head -c 99000000 /dev/zero > /dev/shm/x' },
    { limits: { memoryBytes: 40_000_000 } },
  );
  t.is(shared.ended, 'out_of_memory');
  // As a loader of data with several processes does: more than the 64 MiB that Docker gives by itself.
  const enough = await fixture.run(
    { sh: 'head -c 104857600 /dev/zero > /dev/shm/x && echo there' },
    { limits: { memoryBytes: 200_000_000 } },
  );
  t.like(enough, { ended: 'exited', exitCode: 0, stdout: 'there\n' });
  const bounded = await fixture.run(
    { sh: 'head -c 104857600 /dev/zero > /dev/shm/x' },
    { limits: { memoryBytes: 200_000_000, sharedMemoryBytes: 20_000_000 } },
  );
  t.like(bounded, { ended: 'exited', exitCode: 1 });
  const temporary = await fixture.run({ sh: 'head -c 99000000 /dev/zero > /tmp/x' }, { limits });
  t.is(temporary.ended, 'exited');
  t.regex(temporary.stderr, /No space left|I\/O error/);
  const files = await fixture.run({
    sh: 'cd /tmp; i=0; while [ $i -lt 20000 ]; do : > $i || exit 9; i=$((i+1)); done',
  });
  t.not(files.exitCode, 0);
});

test.serial('A child that is killed for memory matters only where its parent fails', async (t) => {
  await using fixture = await openFixture(harness());
  const limits = { memoryBytes: 64_000_000 };
  t.like(await fixture.run({ sh: 'tail /dev/zero; exit 0' }, { limits }), { ended: 'exited', exitCode: 0 });
  t.like(await fixture.run({ sh: 'tail /dev/zero; exit 3' }, { limits }), {
    ended: 'out_of_memory',
    exitCode: 3,
  });
});

test.serial('Nothing can be written but the mounts and memory', async (t) => {
  await using fixture = await openFixture(harness());
  const sh = `for d in / /etc /app /bin /data /var /usr /root /home /dev /sys /proc; do
      [ -d $d ] && (echo x > $d/written) 2>/dev/null && echo "$d is writable"; done
    (echo x >> /app/main.sh) 2>/dev/null && echo "the program is writable"; exit 0`;
  const { stdout, exitCode } = await fixture.run({ sh });
  t.is(stdout, '');
  t.is(exitCode, 0);
});

test.serial('One large file ends at a bound, however fast it grows and whatever holes it has', async (t) => {
  await using fixture = await openFixture(harness());
  const mount = await fixture.mount('/data/out');
  const run = { args: ['/data/out'], mounts: [mount], limits: { diskBytes: 5_000_000 } };
  t.is((await fixture.run({ sh: 'head -c 4000000000 /dev/zero > "$2/x"' }, run)).ended, 'disk_full');
  t.true((await lstat(join(mount.host, 'x'))).size <= 5_000_000 + 64 * 2 ** 20);
  const sparse = await fixture.run(
    { sh: 'rm "$2/x"; truncate -s 1T "$2/x"; echo $?' },
    { ...run, mounts: [await fixture.mount('/data/out')] },
  );
  t.not(sparse.stdout, '0\n');
});

test.serial('Files without end are as good as a full disk', async (t) => {
  await using fixture = await openFixture(harness());
  const mount = await fixture.mount('/data/out');
  const sh = 'cd "$2"; i=0; while :; do : > $i; i=$((i+1)); done';
  const run = { args: ['/data/out'], mounts: [mount], limits: { diskFiles: 500 } };
  t.is((await fixture.run({ sh }, run)).ended, 'disk_full');
});

test.serial(
  'A folder too deep to be named at once is looked into all the same, and is no full disk',
  async (t) => {
    await using fixture = await openFixture(harness());
    const mount = await fixture.mount('/data/out');
    const node = `import fs from 'node:fs'; process.chdir(process.argv[3]);
    for (let i = 0; i < 500; i += 1) { fs.mkdirSync('deep'); process.chdir('deep'); }
    for (let i = 0; i < 100; i += 1) { fs.mkdirSync('x'.repeat(50)); process.chdir('x'.repeat(50)); }`;
    const run = { args: ['/data/out'], mounts: [mount], limits: { diskFiles: 5000 } };
    t.is((await fixture.run({ node }, run)).ended, 'exited');
  },
);

test.serial('Endless output is cut to the byte, and hardly touches the disk of the daemon', async (t) => {
  await using fixture = await openFixture(harness());
  let bytes = 0;
  let onDisk = '';
  const onOutput = async (chunk: { bytes: Uint8Array }) => {
    bytes += chunk.bytes.byteLength;
    if (bytes < 15_000_000 || onDisk !== '') return;
    onDisk = await (await dind()).exec('du', '-sk', '/var/lib/docker/containers');
  };
  const result = await fixture.run({ sh: 'yes' }, { limits: { outputBytes: 20_000_000 }, onOutput });
  t.is(result.ended, 'output_limit');
  t.is(bytes, 20_000_000);
  t.true(Number.parseInt(onDisk, 10) < 4000, onDisk);
});

test.serial('A program that ignores every signal is gone at once', async (t) => {
  await using fixture = await openFixture(harness());
  const stop = new AbortController();
  const sh =
    'trap "" TERM INT HUP QUIT; echo x; (trap "" TERM; while :; do sleep 1; done) & while :; do sleep 1; done';
  let stoppedAt = 0;
  const onOutput = async () => {
    stoppedAt = performance.now();
    stop.abort(new Error('cancelled'));
  };
  await t.throwsAsync(fixture.run({ sh }, { signal: stop.signal, onOutput }), { message: 'cancelled' });
  t.true(performance.now() - stoppedAt < 10_000);
  t.deepEqual(await fixture.leftovers(), []);
});

test.serial('There is no network and no way to the daemon', async (t) => {
  await using fixture = await openFixture(harness());
  const sh = `ls /sys/class/net; nc -w 1 10.0.0.1 80 2>&1 | grep -o unreachable; ip route
    find / -xdev -type s 2>/dev/null; ls /var/run/docker.sock /run/docker.sock 2>/dev/null; env | grep -i docker`;
  t.is((await fixture.run({ sh })).stdout, 'lo\nunreachable\n');
  t.is(await fixture.runtime.warning?.(AbortSignal.timeout(10_000)), undefined);
});

test.serial('What /proc and /sys have of the machine is not to be written', async (t) => {
  await using fixture = await openFixture(harness());
  const sh = `for f in /proc/sysrq-trigger /proc/kcore /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches \\
      /proc/sys/kernel/hostname /sys/kernel/uevent_helper /sys/fs/cgroup/memory/memory.limit_in_bytes \\
      /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/memory/tasks; do
    (exec 3>>$f) 2>/dev/null && echo "$f is writable"; done
    [ -e /proc/kcore ] && wc -c < /proc/kcore | grep -v '^0$'; ls /dev | grep -E '^(sd|vd|nvme|mem|kmem|port|fuse|kvm|loop)'; dmesg 2>/dev/null | head -1
    grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; id -u`;
  const { stdout } = await fixture.run({ sh });
  const none = '0000000000000000';
  t.is(stdout.replaceAll('\t', ''), `CapEff:${none}\nCapBnd:${none}\nNoNewPrivs:1\nSeccomp:2\n65534\n`);
});

test.serial('Rights that root has are refused', async (t) => {
  await using fixture = await openFixture(harness());
  const commands = ['mount -t tmpfs x /tmp', 'mknod /tmp/d b 254 0', 'unshare -Ur true', 'unshare -m true'];
  commands.push('chroot / true', 'hostname x', 'renice -n -5 1', 'su -c true', 'chown 0 /tmp');
  commands.push('kill -9 1; kill -0 1 && false', 'swapoff -a -e', 'insmod x', 'nsenter -t 1 -m true');
  const sh = commands.map((command) => `(${command}) >/dev/null 2>&1 && echo '${command}'`).join('\n');
  t.is((await fixture.run({ sh: `${sh}\nexit 0` })).stdout, '');
});

const WRITES: Record<string, string> = {
  'a link to a file of the host': 'ln -s /etc/passwd result',
  'a link to a folder of the host': 'ln -s / result',
  'a FIFO': 'mkfifo result',
  'a file with a line break in its name': 'echo x > "$(printf "a\\nb")"',
  'a name that is not text': 'echo x > "$(printf "bad\\377")"',
  'folders in folders in folders': 'i=0; while [ $i -lt 200 ]; do mkdir d && cd d; i=$((i+1)); done',
  'a file that says it is larger than it is': 'truncate -s 50M result',
};

for (const [what, sh] of Object.entries(WRITES)) {
  test.serial(`What a run leaves is not trusted: ${what}`, async (t) => {
    await using fixture = await openFixture(harness());
    const mount = await fixture.mount('/data/out');
    const result = await fixture.run({ sh: `cd "$2"; ${sh}` }, { args: ['/data/out'], mounts: [mount] });
    t.like(result, { ended: 'exited', exitCode: 0 }, result.stderr);
    const limits = { bytes: 10_000_000, files: 1000, depth: 64, pathBytes: 2048 };
    const error = await t.throwsAsync(collectTree(mount.host, { limits, at: '/data/out' }));
    t.true('failure' in error, String(error));
    if (/link|FIFO|larger/.test(what)) {
      await t.throwsAsync(collectFile(mount.host, 'result', { maxBytes: 1_000_000, at: '/data/out' }));
    }
  });
}

test.serial('Files with rights of root and hidden folders are removed like any other', async (t) => {
  await using fixture = await openFixture(harness());
  const mount = await fixture.mount('/data/out');
  const sh =
    'cd "$2"; cp /bin/busybox su; chmod 4755 su; mkdir hidden; echo x > hidden/x; chmod 0 hidden; ls -l su';
  const { stdout } = await fixture.run({ sh }, { args: ['/data/out'], mounts: [mount] });
  t.regex(stdout, /^-rws/);
  t.is((await lstat(join(mount.host, 'su'))).uid, 65_534);
});
