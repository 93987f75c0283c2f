import { OrderFailure } from '@morpheo/common';
import { openSharedDind, type SharedDind, withParts } from '@morpheo/real-parts';
import { packImage } from '@morpheo/service/registry/testing';
import ava from 'ava';
import { openFixture, type RuntimeFixture, type TestRun } from '../../conformance/runtime-fixture.ts';
import type { PreparedImage, RegistryImage } from '../../index.ts';
import { readAddress } from '../client/address.ts';
import { Daemon } from '../client/daemon.ts';
import { loadedImageName } from '../labels.ts';
import { fetchable, shellImage } from '../testing/fetchable.ts';
import { dockerHarness } from '../testing/harness.ts';

const test = withParts(ava, 'docker');
const { signal } = new AbortController();
const onOutput = async () => undefined;
let dind: Promise<SharedDind> | undefined;

async function host() {
  dind ??= openSharedDind();
  const { socketPath, jobs } = await dind;
  return { host: `unix://${socketPath}`, shared: jobs };
}

test.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

async function load({ runtime }: RuntimeFixture, image: RegistryImage): Promise<PreparedImage> {
  const loaded = await runtime.load?.(image, { signal, onOutput });
  if (loaded === undefined) throw new Error('the runtime loads no images');
  return loaded;
}

async function run(fixture: RuntimeFixture, image: PreparedImage, how: TestRun = {}) {
  const { args: _, ...spec } = await fixture.spec(how);
  let printed = '';
  const result = await fixture.runtime.run(
    { ...spec, ...(how.args && { args: how.args }), image },
    {
      signal,
      onOutput: async ({ bytes }) => {
        printed += Buffer.from(bytes).toString();
      },
    },
  );
  return { ...result, printed };
}

async function daemon(): Promise<Daemon> {
  return new Daemon({
    address: readAddress((await host()).host, false),
    certificates: undefined,
    callMs: 10_000,
  });
}

test('[R43] An image of a registry is brought to the daemon once, by whoever asks first', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const { image, counts } = fetchable(await shellImage({ Cmd: ['/bin/busybox', 'sh', '-c', 'echo hello'] }));
  const [one, two] = await Promise.all([load(fixture, image), load(fixture, image)]);
  const three = await load(fixture, image);
  t.deepEqual(counts, { fetched: 1, released: 1 });
  t.deepEqual([[one.cached, two.cached].filter(Boolean).length, three.cached], [1, true]);
  t.is((await run(fixture, three)).printed, 'hello\n');
});

test('[R45] An image gets the arguments that a run says, else its own, behind its entry point', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const config = { Entrypoint: ['/bin/busybox', 'sh', '-c', 'echo "$0 $@"', 'said'], Cmd: ['its', 'own'] };
  const image = await load(fixture, fetchable(await shellImage(config)).image);
  t.is((await run(fixture, image)).printed, 'said its own\n');
  t.is((await run(fixture, image, { args: ['others'] })).printed, 'said others\n');
  t.is((await run(fixture, image, { args: [] })).printed, 'said \n');
  const none = await load(fixture, fetchable(await shellImage({})).image);
  t.is(
    (await run(fixture, none, { args: ['/bin/busybox', 'sh', '-c', 'echo a command'] })).printed,
    'a command\n',
  );
  const error = await t.throwsAsync(run(fixture, none, { args: [] }), { instanceOf: OrderFailure });
  t.regex(error.message, /names no program, and the order gives no command/);
  const absent = await run(fixture, none, { args: ['/bin/absent'] });
  t.is(absent.exitCode, 127);
  t.regex(absent.printed, /exec \/bin\/absent failed: No such file/);
});

test('Whatever an image of a registry says of itself, its runs are held back like all others', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const look = `
    b=/bin/busybox; $b id -u; $b ls /sys/class/net
    $b grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    for place in / /bin /etc /data /outputs /outputs/inner; do
      { echo x > $place/file; } 2>/dev/null && echo "wrote to $place: $($b stat -f -c %T $place)"
    done
    exit 0`;
  const image = await shellImage({
    User: 'root',
    Cmd: ['/bin/busybox', 'sh', '-c', look],
    Volumes: { '/data': {}, '/outputs/inner/': {} },
    Healthcheck: {
      Test: ['CMD', '/bin/busybox', 'sh', '-c', 'echo health > /proc/1/fd/1'],
      Interval: 1_000_000,
    },
    OnBuild: ['RUN touch /evil'],
    StopSignal: 'SIGNONE',
    ExposedPorts: { '80/tcp': {} },
    Env: ['NVIDIA_VISIBLE_DEVICES=all', 'PATH=/bin'],
  });
  const mounts = [await fixture.mount('/outputs')];
  const { printed, exitCode } = await run(fixture, await load(fixture, fetchable(image).image), { mounts });
  t.is(exitCode, 0, printed);
  const lines = printed.split('\n').map((line) => line.replaceAll('\t', ' '));
  t.false(lines.includes('0'), printed);
  t.deepEqual(
    lines.filter((line) => /^(?:lo|eth|CapEff|CapBnd|NoNewPrivs|Seccomp)/.test(line)),
    ['lo', 'CapEff: 0000000000000000', 'CapBnd: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2'],
  );
  const wrote = lines.filter((line) => line.startsWith('wrote')).map((line) => line.split(':')[0]);
  t.deepEqual(wrote, ['wrote to /data', 'wrote to /outputs', 'wrote to /outputs/inner'], printed);
  t.is(
    lines.find((line) => line.startsWith('wrote to /outputs/inner')),
    'wrote to /outputs/inner: tmpfs',
  );
});

test('[R44] [R52] What an image may not say, and what Docker does not take, is the fault of the order', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const cases = [
    [await shellImage({ Labels: { 'org.morpheo.line': 'x' } }), /label org\.morpheo\.line/],
    [await shellImage({ Volumes: { '/proc/sys': {} } }), /would hide what a container needs/],
    [await shellImage({ Labels: { 'morpheo.runner': 'yes' } }), /label morpheo\.runner is yes: only "1"/],
    [packImage([Buffer.alloc(10_240, 'no archive')], { form: 'tar' }), /Docker does not take the image/],
  ] as const;
  for (const [image, message] of cases) {
    const { image: wanted, counts } = fetchable(image);
    const error = await t.throwsAsync(load(fixture, wanted), { instanceOf: OrderFailure, message });
    t.is(error.end, 'image_invalid');
    t.is(counts.released, 1);
    t.is(await (await daemon()).inspectImage(loadedImageName(wanted.digest)), undefined);
  }
});

test('[R51] An image of a registry says by its labels that it is a runner', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const labelled = await shellImage({ Labels: { 'morpheo.runner': '1', 'morpheo.max_batch': '8' } });
  t.deepEqual((await load(fixture, fetchable(labelled).image)).runner, { maxBatch: 8 });
  t.is((await load(fixture, fetchable(await shellImage({})).image)).runner, undefined);
});

test('[R46] An image that was removed since is not run, and brought anew by the next who asks', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const { image, counts } = fetchable(await shellImage({ Cmd: ['/bin/busybox', 'sh', '-c', 'echo hello'] }));
  const loaded = await load(fixture, image);
  await (await daemon()).removeImage(loadedImageName(image.digest));
  await t.throwsAsync(run(fixture, loaded), { code: 'unavailable', message: /gone already/ });
  t.is((await run(fixture, await load(fixture, image))).printed, 'hello\n');
  t.is(counts.fetched, 2);
});

test('No Dockerfile starts from an image that was fetched for an order', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const { image } = fetchable(await shellImage({}));
  await load(fixture, image);
  for (const name of [loadedImageName(image.digest), `docker.io/${loadedImageName(image.digest)}`]) {
    const context = await fixture.context({ Dockerfile: `FROM ${name}\nENTRYPOINT ["true"]\n` });
    await t.throwsAsync(fixture.runtime.prepare(context, { signal, onOutput }), {
      instanceOf: OrderFailure,
      message: /was built for another archive/,
    });
  }
});

test('An abort in the middle of a load ends it, and nothing of the image is there', async (t) => {
  await using fixture = await openFixture(dockerHarness(host));
  const { image, counts } = fetchable(await shellImage({}));
  const stop = new AbortController();
  const broken: RegistryImage = {
    digest: image.digest,
    fetch: async (asked) => {
      const fetched = await image.fetch(asked);
      const layers = fetched.layers.map(({ bytes }) => ({
        bytes,
        open: async function* () {
          yield Buffer.alloc(1000);
          stop.abort(new Error('cancelled'));
          asked.throwIfAborted();
        },
      }));
      return { ...fetched, layers };
    },
  };
  const loaded = fixture.runtime.load?.(broken, { signal: stop.signal, onOutput });
  await t.throwsAsync(loaded ?? Promise.resolve(), { message: 'cancelled' });
  t.is(counts.released, 1);
  t.is(await (await daemon()).inspectImage(loadedImageName(image.digest)), undefined);
});
