import { memoryLog } from '@morpheo/service/log';
import { abandoned, adopt } from '../../conformance/adoption.ts';
import { eventually, openFixture, type RuntimeFixture } from '../../conformance/runtime-fixture.ts';
import type { RunSpec } from '../../index.ts';
import { readAddress } from '../client/address.ts';
import { Container, listContainers } from '../client/container.ts';
import { Daemon } from '../client/daemon.ts';
import type { TidyRuntime } from '../index.ts';
import { LABELS } from '../labels.ts';
import { SOME_SPARES, workerOf } from '../testing/harness.ts';
import { ownDaemon } from '../testing/own-daemon.ts';

const { test, dind, harness } = ownDaemon();

async function client() {
  const address = readAddress(`unix://${(await dind()).socketPath}`, false);
  return new Daemon({ address, certificates: undefined, callMs: 30_000 });
}

/** A fixture whose runs have containers that were started ahead, and how many did. */
async function open() {
  const log = memoryLog();
  const opened = harness({ spares: SOME_SPARES, log, reconnectMs: 3000 });
  const fixture = await openFixture(opened);
  const used = () =>
    log.entries.filter(({ message }) => message === 'A run has a container that was started ahead').length;
  return { fixture, used, log, harness: opened };
}

/** Lets a container of a program wait, and returns the daemon's name of it. */
async function waiting(fixture: RuntimeFixture, spec: RunSpec): Promise<Container> {
  const daemon = await client();
  const runtime = fixture.runtime as TidyRuntime;
  await runtime.warmedUp(spec);
  let name = '';
  await eventually('it waits at its gate', async () => {
    const [found] = await listContainers(daemon, [
      `${LABELS.worker}=${workerOf(`${fixture.folder}/worker`)}`,
      LABELS.spare,
    ]);
    name = found?.name ?? '';
    return name !== '' && (await processes(daemon, name)).includes('/.morpheo/gate');
  });
  return new Container(daemon, name);
}

async function processes(daemon: Daemon, name: string): Promise<string> {
  const told = await daemon.get('list processes', `/containers/${name}/top`).catch(() => undefined);
  return JSON.stringify(told ?? null);
}

async function specOf(
  fixture: RuntimeFixture,
  sh: string,
  files: Record<string, string> = {},
): Promise<RunSpec> {
  const written = { Dockerfile: 'FROM busybox:1.36\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n' };
  const context = await fixture.context({ ...written, 'main.sh': sh, ...files });
  const signal = AbortSignal.timeout(120_000);
  const image = await fixture.runtime.prepare(context, { signal, onOutput: async () => undefined });
  return { ...(await fixture.spec({ mounts: [await fixture.mount('/data/out')] })), image };
}

const LOOK = `
  echo stdin; readlink /proc/self/fd/0 | sed 's/pipe:.*/pipe/'
  echo open; ls /proc/self/fd | wc -l
  echo words; tr '\\0' ' ' < /proc/self/cmdline
  echo; echo variables; env | grep -v ^HOSTNAME= | sort
  echo bounds; cat /proc/self/limits
  echo self; grep -E '^(Uid|Gid|Groups|Sig|Shd|Cap|NoNewPrivs|Seccomp|Threads)' /proc/self/status
  echo folder; pwd; umask
  echo mounts; cut -d' ' -f5,6 /proc/self/mountinfo | grep -v '^/\\.morpheo' | sort
  echo network; ls /sys/class/net
  echo first; tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f1`;

test.serial(
  'A program finds in a container that was started ahead what it finds in any other [R49]',
  async (t) => {
    const { fixture: opened, used } = await open();
    await using fixture = opened;
    await using cold = await openFixture(harness());
    const files = {
      Dockerfile:
        'FROM busybox:1.36\nENV A="b c"\nWORKDIR /data/out\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh", "one"]\n',
    };
    const run = async (where: RuntimeFixture) => {
      const context = await where.context({ ...files, 'main.sh': LOOK });
      return await where.run(context, { args: ['a b', ''], mounts: [await where.mount('/data/out')] });
    };
    const [ahead, other] = [await run(fixture), await run(cold)];
    t.is(ahead.stdout, other.stdout);
    t.is(ahead.exitCode, 0);
    t.is(used(), 1);
  },
);

test.serial('While a container waits, nothing of its image runs [R49] [R50]', async (t) => {
  const { fixture: opened } = await open();
  await using fixture = opened;
  const Dockerfile = `FROM busybox:1.36
    ENV LD_PRELOAD=/app/main.sh PATH=/app:/bin
    HEALTHCHECK --interval=1s CMD echo health > /data/out/health
    COPY . /app
    ENTRYPOINT ["sh", "/app/main.sh"]`;
  const spec = await specOf(fixture, 'echo ran > /data/out/ran', {
    Dockerfile,
    gate: 'no gate',
    'docker-init': 'none',
  });
  const container = await waiting(fixture, spec);
  const seen = JSON.parse(await processes(await client(), container.name)) as { Processes: string[][] };
  const commands = seen.Processes.map((fields) => fields.at(-1)?.split(' ')[0]);
  t.deepEqual(commands, ['/sbin/docker-init', '/.morpheo/gate']);
  await fixture.runtime[Symbol.asyncDispose]();
  t.deepEqual(await fixture.leftovers(), []);
});

test.serial('A program cannot change its gate, nor speak to the worker through it [R49]', async (t) => {
  const { fixture: opened, used } = await open();
  await using fixture = opened;
  const sh = `cd /.morpheo; ls -A; for f in gate go new; do echo x 2>/dev/null > $f && echo "wrote $f"; done
    rm -f gate 2>/dev/null; chmod 777 gate 2>/dev/null; ls -l gate | cut -c1-10; ls -l /proc/*/fd 2>/dev/null | grep -c socket`;
  const result = await fixture.run({ sh }, { mounts: [await fixture.mount('/data/out')] });
  t.is(result.stdout, 'gate\n-r-xr-xr-x\n0\n');
  t.is(used(), 1);
});

test.serial('A container that does not equal what a run needs is not used', async (t) => {
  const { fixture: opened, used } = await open();
  await using fixture = opened;
  const spec = await specOf(fixture, 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes; echo "$@"');
  await waiting(fixture, spec);
  const printed: string[] = [];
  const run = async (changed: Partial<RunSpec>) => {
    const options = {
      signal: AbortSignal.timeout(120_000),
      onOutput: async ({ bytes }: { bytes: Uint8Array }) => void printed.push(Buffer.from(bytes).toString()),
    };
    const { warmedUp } = fixture.runtime as TidyRuntime;
    // Not started for these, as it is for all other runs of these tests.
    Object.assign(fixture.runtime, { warmedUp: async () => undefined });
    await fixture.runtime.run({ ...spec, ...changed }, options);
    Object.assign(fixture.runtime, { warmedUp });
  };
  const { limits } = spec;
  await run({ limits: { ...limits, memoryBytes: 100_000_768 } });
  await run({ args: ['other'] });
  await run({ environment: { A: 'b' } });
  await run({ mounts: [await fixture.mount('/data/other')] });
  await run({ limits: { ...limits, processes: 100 } });
  t.is(used(), 0);
  await run({});
  t.is(used(), 1);
});

test.serial('A container that is paused while it waits runs its program all the same', async (t) => {
  const { fixture: opened, used } = await open();
  await using fixture = opened;
  const spec = await specOf(fixture, 'echo ran');
  const container = await waiting(fixture, spec);
  await container.pause();
  await container.unpause();
  const quiet = { signal: AbortSignal.timeout(120_000), onOutput: async () => undefined };
  t.is((await fixture.runtime.run(spec, quiet)).exitCode, 0);
  t.is(used(), 1);
});

test.serial('A container that waits ends with its worker, and the next one removes it [R50]', async (t) => {
  const { fixture: opened, harness: own } = await open();
  await using fixture = opened;
  const { spec } = await abandoned(own, fixture, 'echo ready; sleep 1; echo end > "$1/end"; exit 5');
  const [name, ...others] = await fixture.leftovers();
  t.regex(
    name ?? '',
    new RegExp(`^/morpheo-spare-[0-9a-f]+\\.${spec.labels.order}\\.1\\.train\\..* (running|exited)$`),
  );
  t.deepEqual(others, []);
  t.like((await adopt(fixture, spec)).result, { ended: 'exited', exitCode: 5 });
  t.deepEqual(await fixture.leftovers(), []);
});

test.serial(
  'A daemon that is started anew takes the containers that wait along, and runs go on',
  async (t) => {
    const { fixture: opened, used } = await open();
    await using fixture = opened;
    const daemon = await dind();
    const spec = await specOf(fixture, 'echo ran');
    await waiting(fixture, spec);
    await daemon.stop();
    await daemon.restart();
    await fixture.runtime.ping();
    const quiet = { signal: AbortSignal.timeout(120_000), onOutput: async () => undefined };
    t.is((await fixture.runtime.run(spec, quiet)).exitCode, 0);
    t.true(used() <= 1);
    await fixture.runtime.recover();
    await fixture.runtime[Symbol.asyncDispose]();
    t.deepEqual(await fixture.leftovers(), []);
  },
);
