import { OrderFailure } from '@morpheo/common';
import { eventually, openFixture, type RuntimeFixture } from '../../conformance/runtime-fixture.ts';
import type { OutputChunk } from '../../index.ts';
import { readAddress } from '../client/address.ts';
import { Daemon } from '../client/daemon.ts';
import { imageName, loadedImageName } from '../labels.ts';
import { fetchable, shellImage } from '../testing/fetchable.ts';
import { ownDaemon } from '../testing/own-daemon.ts';

const { test, harness, dind } = ownDaemon();
const base = 'FROM busybox:1.36';
const end = 'ENTRYPOINT ["true"]';

function building(fixture: RuntimeFixture, lines: readonly string[], signal = new AbortController().signal) {
  let log = '';
  const onOutput = async ({ bytes }: OutputChunk) => {
    log += Buffer.from(bytes).toString();
  };
  const build = async () => {
    const context = await fixture.context({ Dockerfile: lines.join('\n') });
    return await fixture.runtime.prepare(context, { signal, onOutput });
  };
  return { log: () => log, done: build() };
}

async function containers(): Promise<readonly unknown[]> {
  const daemon = new Daemon({
    address: readAddress(`unix://${(await dind()).socketPath}`, false),
    certificates: undefined,
    callMs: 60_000,
  });
  return await daemon.ask('list', (docker) => docker.listContainers({ all: true }));
}

test.serial('A base image that is not there is named, with what to do', async (t) => {
  await using fixture = await openFixture(harness());
  const { done } = building(fixture, ['FROM no-such-image:1', end]);
  const error = await t.throwsAsync(done, { instanceOf: OrderFailure });
  t.is(error.failure.reason, 'build_failed');
  t.regex(
    error.message,
    /line 1: the image no-such-image:1 is not on the Docker daemon.*ask whoever runs the worker/,
  );
});

test.serial('RUN lines run without a network, and their log comes while they run', async (t) => {
  await using fixture = await openFixture(harness());
  const build = building(fixture, [base, 'RUN ls /sys/class/net; echo built', end]);
  t.false((await build.done).cached);
  t.regex(build.log(), /^Step 1\/2 : FROM busybox:1\.36\nStep 2\/2 : RUN ls .*\nlo\nbuilt\n$/);
});

test.serial('Stages, users, owners and variables are what they are with Docker', async (t) => {
  await using fixture = await openFixture(harness());
  const Dockerfile = `${base} AS build
    ARG V=1
    WORKDIR /src/deep
    COPY --chown=1:2 . .
    RUN echo "V=$V" > v && mkdir out && cp v out/ && ln -s v out/link && id -u > out/id
    USER 7:8
    RUN ["sh", "-c", "id -u > /tmp/user; stat -c %u:%g main.sh >> /tmp/user"]
    ${base}
    COPY --from=build /src/deep/out/ /app/
    COPY --from=0 /src/deep/main.sh /tmp/us*r /app/
    COPY --from=busybox:1.36 /bin/busybox /app/bb
    ENV A="x y"
    RUN test -x /app/bb && echo "$A" > /app/a
    WORKDIR /app
    ENTRYPOINT ["sh", "main.sh"]`;
  const sh = 'cat v link id user a; env | grep ^V=; stat -c %u:%g main.sh .; pwd; echo "$A"';
  const { stdout } = await fixture.run(await fixture.context({ Dockerfile, 'main.sh': sh }));
  t.is(stdout, 'V=1\nV=1\n0\n7\n1:2\nx y\n1:2\n0:0\n/app\nx y\n');
});

test.serial('What a line made is used again where the same line follows the same lines', async (t) => {
  await using fixture = await openFixture(harness());
  const lines = (last: string) => [
    base,
    'RUN echo first; cat /proc/sys/kernel/random/uuid',
    `RUN ${last}`,
    end,
  ];
  const first = building(fixture, lines('echo second'));
  await first.done;
  const second = building(fixture, lines('echo third'));
  await second.done;
  t.regex(first.log(), /\nfirst\n[\s\S]*\nsecond\n/);
  t.notRegex(second.log(), /\nfirst\n/);
  t.regex(second.log(), /\nWhat this line made before is used again\.\nStep 3\/3 : RUN echo third\nthird\n/);
});

test.serial('A RUN line that fails is the doing of whoever wrote it', async (t) => {
  await using fixture = await openFixture(harness({ buildMemoryBytes: 64_000_000 }));
  for (const [line, reason, message] of [
    ['RUN exit 3', 'build_failed', /line 2: RUN exit 3 ended with exit code 3\./],
    ['RUN ["/no/such/program"]', 'build_failed', /line 2: .* ended with exit code 127\./],
    ['RUN tail /dev/zero', 'out_of_memory', /line 2: the RUN line needed more memory than 64\.0 MB/],
    ['USER nobody-at-all\nRUN true', 'build_failed', /line 3: .*there is no such user/],
  ] as const) {
    const error = await t.throwsAsync(building(fixture, [base, line, end]).done, {
      instanceOf: OrderFailure,
    });
    t.like(error.failure, { reason });
    t.regex(error.message, message);
  }
});

test.serial('A build that never ends is ended, and nothing of it is left', async (t) => {
  await using fixture = await openFixture(harness({ buildMs: 6000 }));
  const { done } = building(fixture, [base, 'RUN sleep 1000', end]);
  const error = await t.throwsAsync(done, { instanceOf: OrderFailure });
  t.is(error.failure.reason, 'timed_out');
  await eventually('nothing is left', async () => (await containers()).length === 0);
});

test.serial('An abort ends a build', async (t) => {
  await using fixture = await openFixture(harness());
  const stop = new AbortController();
  const build = building(fixture, [base, 'RUN echo begun; sleep 1000', end], stop.signal);
  await eventually('the build has begun', () => build.log().includes('\nbegun\n'));
  const reason = new Error('The order was cancelled');
  stop.abort(reason);
  t.is(await t.throwsAsync(build.done), reason);
  await eventually('nothing is left', async () => (await containers()).length === 0);
});

test.serial('A build that prints without end is ended', async (t) => {
  await using fixture = await openFixture(harness({ buildOutputBytes: 1_000_000 }));
  const { done } = building(fixture, [base, 'RUN yes', end]);
  await t.throwsAsync(done, { instanceOf: OrderFailure, message: /printed more than 1\.0 MB/ });
  await eventually('nothing is left', async () => (await containers()).length === 0);
});

test.serial('Images that were not used for long go, and are built again when they are needed', async (t) => {
  await using fixture = await openFixture(harness({ imageCacheBytes: 1 }));
  const options = { signal: new AbortController().signal, onOutput: async () => undefined };
  const context = await fixture.context({
    Dockerfile: `${base}\nCOPY big /\nENTRYPOINT ["ls", "/big"]`,
    big: 'x'.repeat(9999),
  });
  const image = await fixture.runtime.prepare(context, options);
  const daemon = new Daemon({
    address: readAddress(`unix://${(await dind()).socketPath}`, false),
    certificates: undefined,
    callMs: 60_000,
  });
  await eventually('the image is gone', async () => {
    const images = await daemon.ask('list', (docker) => docker.listImages());
    return !images.some(({ RepoTags }) => RepoTags?.includes(imageName(context.digest)));
  });
  t.is((await fixture.runtime.run({ ...(await fixture.spec()), image }, options)).exitCode, 0);
});

test.serial('An image of a registry stays while an order needs it, and goes like others then', async (t) => {
  await using fixture = await openFixture(harness({ imageCacheBytes: 1 }));
  const options = { signal: new AbortController().signal, onOutput: async () => undefined };
  const host = `unix://${(await dind()).socketPath}`;
  const daemon = new Daemon({ address: readAddress(host, false), certificates: undefined, callMs: 60_000 });
  const load = async () => {
    const { image } = fetchable(await shellImage({ Cmd: ['/bin/busybox', 'true'] }));
    const loaded = await fixture.runtime.load?.(image, options);
    if (loaded === undefined) throw new Error('the runtime loads no images');
    const isThere = async () => (await daemon.inspectImage(loadedImageName(image.digest))) !== undefined;
    return { loaded, isThere };
  };
  const [first, second] = [await load(), await load()];
  second.loaded.release?.();
  const third = await load();
  await eventually('what nobody needs is gone', async () => !(await second.isThere()));
  const { args: _, ...spec } = await fixture.spec();
  for (const { loaded } of [first, third])
    t.is((await fixture.runtime.run({ ...spec, image: loaded }, options)).exitCode, 0);
});

test.serial('A folder that the image declares as a volume is memory, and bounded', async (t) => {
  await using fixture = await openFixture(harness());
  const Dockerfile = `${base}\nVOLUME /cache\nENTRYPOINT ["sh", "-c", "df /cache; head -c 90000000 /dev/zero > /cache/x"]`;
  const result = await fixture.run(await fixture.context({ Dockerfile }), {
    limits: { memoryBytes: 200_000_000 },
  });
  t.regex(result.stdout, /tmpfs/);
  t.not(result.exitCode, 0);
  t.deepEqual(await fixture.leftovers(), []);
});
