import { OrderFailure } from '@morpheo/common';
import { type Bench, eventually, openBench } from '../conformance/bench.ts';
import type { OutputChunk } from '../index.ts';
import { readAddress } from './address.ts';
import { Daemon } from './daemon.ts';
import { imageName } from './labels.ts';
import { ownDaemon } from './testing/own-daemon.ts';

const { test, harness, dind } = ownDaemon();
const base = 'FROM busybox:1.36';
const end = 'ENTRYPOINT ["true"]';

function building(bench: Bench, lines: readonly string[], signal = new AbortController().signal) {
  let log = '';
  const onOutput = async ({ bytes }: OutputChunk) => {
    log += Buffer.from(bytes).toString();
  };
  const build = async () => {
    const context = await bench.context({ Dockerfile: lines.join('\n') });
    return await bench.runtime.prepare(context, { signal, onOutput });
  };
  return { log: () => log, done: build() };
}

async function containers(): Promise<readonly unknown[]> {
  const daemon = new Daemon({
    address: readAddress(`unix://${(await dind()).socketPath}`, false),
    certificates: undefined,
    callMs: 10_000,
  });
  return await daemon.ask('list', (docker) => docker.listContainers({ all: true }));
}

test.serial('A base image that is not there is named, with what to do', async (t) => {
  await using bench = await openBench(harness());
  const { done } = building(bench, ['FROM no-such-image:1', end]);
  const error = await t.throwsAsync(done, { instanceOf: OrderFailure });
  t.is(error.failure.reason, 'build_failed');
  t.regex(
    error.message,
    /line 1: the image no-such-image:1 is not on the Docker daemon.*ask whoever runs the worker/,
  );
});

test.serial('RUN lines run without a network, and their log comes while they run', async (t) => {
  await using bench = await openBench(harness());
  const build = building(bench, [base, 'RUN ls /sys/class/net; echo built', end]);
  t.false((await build.done).cached);
  t.regex(build.log(), /Step 1\/4 : FROM busybox[\s\S]*\nlo\nbuilt\n/);
});

test.serial('A RUN line that fails is the doing of whoever wrote it', async (t) => {
  await using bench = await openBench(harness({ buildMemoryBytes: 64_000_000 }));
  for (const [line, message] of [
    ['RUN exit 3', /non-zero code: 3/],
    ['RUN tail /dev/zero', /non-zero code: 137/],
  ] as const) {
    const error = await t.throwsAsync(building(bench, [base, line, end]).done, { instanceOf: OrderFailure });
    t.is(error.failure.reason, 'build_failed');
    t.regex(error.message, message);
  }
});

test.serial('A build that never ends is ended, and nothing of it is left', async (t) => {
  await using bench = await openBench(harness({ timeoutMs: 3000 }));
  const { done } = building(bench, [base, 'RUN sleep 1000', end]);
  const error = await t.throwsAsync(done, { instanceOf: OrderFailure });
  t.is(error.failure.reason, 'timed_out');
  await eventually('nothing is left', async () => (await containers()).length === 0);
});

test.serial('An abort ends a build', async (t) => {
  await using bench = await openBench(harness());
  const stop = new AbortController();
  const build = building(bench, [base, 'RUN echo begun; sleep 1000', end], stop.signal);
  await eventually('the build has begun', () => build.log().includes('\nbegun\n'));
  const reason = new Error('The order was cancelled');
  stop.abort(reason);
  t.is(await t.throwsAsync(build.done), reason);
  await eventually('nothing is left', async () => (await containers()).length === 0);
});

test.serial('A build that prints without end is ended', async (t) => {
  await using bench = await openBench(harness({ buildOutputBytes: 1_000_000 }));
  const { done } = building(bench, [base, 'RUN yes', end]);
  await t.throwsAsync(done, { instanceOf: OrderFailure, message: /printed more than 1\.0 MB/ });
  await eventually('nothing is left', async () => (await containers()).length === 0);
});

test.serial('Images that were not used for long go, and are built again when they are needed', async (t) => {
  await using bench = await openBench(harness({ imageCacheBytes: 1 }));
  const options = { signal: new AbortController().signal, onOutput: async () => undefined };
  const context = await bench.context({
    Dockerfile: `${base}\nCOPY big /\nENTRYPOINT ["ls", "/big"]`,
    big: 'x'.repeat(9999),
  });
  const image = await bench.runtime.prepare(context, options);
  const daemon = new Daemon({
    address: readAddress(`unix://${(await dind()).socketPath}`, false),
    certificates: undefined,
    callMs: 10_000,
  });
  await eventually('the image is gone', async () => {
    const images = await daemon.ask('list', (docker) => docker.listImages());
    return !images.some(({ RepoTags }) => RepoTags?.includes(imageName(context.digest)));
  });
  t.is((await bench.runtime.run({ ...(await bench.spec()), image }, options)).exitCode, 0);
});

test.serial('A folder that the image declares as a volume is memory, and bounded', async (t) => {
  await using bench = await openBench(harness());
  const Dockerfile = `${base}\nVOLUME /cache\nENTRYPOINT ["sh", "-c", "df /cache; head -c 90000000 /dev/zero > /cache/x"]`;
  const result = await bench.run(await bench.context({ Dockerfile }), {
    limits: { memoryBytes: 200_000_000 },
  });
  t.regex(result.stdout, /tmpfs/);
  t.not(result.exitCode, 0);
  t.deepEqual(await bench.leftovers(), []);
});
