import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import anyTest, { type TestFn } from 'ava';
import { docker, inner } from './dind/docker.ts';
import { type DindTls, startDind, withParts } from './index.ts';

const test = withParts(anyTest as TestFn, 'docker');
const MIB = 1024 * 1024;
const IMAGE = 'busybox:1.36';

test.beforeEach((t) => {
  t.timeout(300_000, 'the first daemon of a machine makes the images');
});

/** Asks the daemon by TCP. */
function ping({ host, port, ...certificates }: Partial<DindTls>): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path: '/_ping', agent: false, ...certificates }, (response) => {
      text(response).then(resolve, reject);
    });
    call.on('error', reject).end();
  });
}

/** Asks again and again, for a minute, until it is so. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 240_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('it never came to be so');
  }
}

test.serial('By TCP the daemon answers to its client, and to nobody else', async (t) => {
  await using dind = await startDind({ tls: true });
  await using other = await startDind({ tls: true });
  const { tls } = dind;
  if (tls === undefined || other.tls === undefined) return t.fail('no address');
  t.is(await ping(tls), 'OK');
  const { host, port, ca } = tls;
  await t.throwsAsync(ping({ host, port, ca }), {
    message: /certificate required|bad certificate|socket hang up|ECONNRESET/,
  });
  await t.throwsAsync(ping({ ...tls, ca: other.tls.ca }), { message: /self-signed|certificate/ });
  const { cert, key } = other.tls;
  await t.throwsAsync(ping({ host, port, ca, cert, key }), {
    message: /certificate|unknown|ECONNRESET|socket hang up/,
  });
  await dind.restart();
  t.is(await ping(tls), 'OK');
});

test.serial('A daemon that answers by TCP has no way out', async (t) => {
  await using dind = await startDind({ tls: true });
  const networks = await docker(
    'inspect',
    '--format',
    '{{range .NetworkSettings.Networks}}{{.NetworkID}}{{end}}',
    dind.container,
  );
  t.is(await docker('network', 'inspect', '--format', '{{.Internal}}', networks), 'true');
});

test.serial('Bounded storage is full at its bound, and gives back what is removed', async (t) => {
  await using dind = await startDind({ storageBytes: 128 * MIB });
  await dind.loadImages([IMAGE]);
  /** What the host's disk gives for it. */
  const taken = async () => {
    await dind.exec('sync');
    const blocks = await dind.exec('stat', '-c', '%b', '/var/lib/dind-disk/disk.img');
    return (Number(blocks) * 512) / MIB;
  };
  const before = await taken();
  const full = await inner(dind, 'create', IMAGE, 'sh', '-c', 'dd if=/dev/zero of=/full bs=1M');
  await inner(dind, 'start', full);
  t.is(await inner(dind, 'wait', full), '1');
  t.regex(await dind.exec('df', '/var/lib/docker'), / (99|100)% /);
  const filled = await taken();
  t.log(`${Math.round(before)} MiB, then ${Math.round(filled)} MiB`);
  t.true(filled > 100 && filled <= 129);
  t.is(await inner(dind, 'inspect', '--format', '{{.State.Running}}', full), 'false');
  await inner(dind, 'rm', full);
  await t.notThrowsAsync(eventually(async () => (await taken()) < before + 20));
  await dind.kill('SIGKILL');
  await dind.restart();
  t.is(await inner(dind, 'run', '--rm', IMAGE, 'sh', '-c', 'head -c 50000000 /dev/zero | wc -c'), '50000000');
});

test.serial('A container gets exactly the GPUs that were asked for', async (t) => {
  await using dind = await startDind({ gpus: 'fake', gpuCount: 3 });
  const list = 'ls -d /dev/nvidia[0-9]*; nvidia-smi --query-gpu=index,uuid --format=csv,noheader';
  const on = (gpus: string) => inner(dind, 'run', '--rm', '--gpus', gpus, IMAGE, 'sh', '-c', list);
  t.is(await on('device=0'), '/dev/nvidia0\n0, GPU-fake-0, Fake GPU, 81920 MiB');
  t.regex(await on('device=GPU-fake-2'), /^\/dev\/nvidia2\n2, GPU-fake-2,/);
  t.regex(await on('"device=0,2"'), /^\/dev\/nvidia0\n\/dev\/nvidia2\n/);
  t.regex(await on('all'), /^\/dev\/nvidia0\n\/dev\/nvidia1\n\/dev\/nvidia2\n/);
  await t.throwsAsync(on('device=3'), { message: /unknown device/ });
  await t.throwsAsync(inner(dind, 'run', '--rm', IMAGE, 'sh', '-c', list), { message: /No such file/ });
});

test.serial('GPUs are seen in the daemon, and by the runtime of a worker', async (t) => {
  await using dind = await startDind({ gpus: 'fake' });
  t.regex(await inner(dind, 'info', '--format', '{{json .Runtimes}}'), /"nvidia"/);
  t.is(await inner(dind, 'info', '--format', '{{.DefaultRuntime}}'), 'runc');
  const hardened = ['--network', 'none', '--read-only', '--cap-drop', 'ALL', '--user', '65534:65534'];
  const gpu = ['--runtime', 'nvidia', '--gpus', 'device=1'];
  const script = 'ls /dev/nvidia1 && : < /dev/nvidia1 && nvidia-smi';
  t.regex(
    await inner(dind, 'run', '--rm', ...hardened, ...gpu, IMAGE, 'sh', '-c', script),
    /^\/dev\/nvidia1\n1, GPU-fake-1/,
  );
});

test.serial('Without GPUs a container that asks for one does not start', async (t) => {
  await using dind = await startDind();
  await t.throwsAsync(inner(dind, 'run', '--rm', '--gpus', 'all', IMAGE, 'true'), {
    message: /could not select device driver/,
  });
});
