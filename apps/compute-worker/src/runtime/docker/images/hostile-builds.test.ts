import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { OrderFailure, sleep } from '@morpheo/common';
import { openFixture, type RuntimeFixture } from '../../conformance/runtime-fixture.ts';
import type { OutputChunk } from '../../index.ts';
import { ownDaemon } from '../testing/own-daemon.ts';

/** What hostile Dockerfiles try: to have the daemon fetch, to read what is not theirs, to take what others need. */
const { test, dind, harness } = ownDaemon();
const run = promisify(execFile);
const BASE = 'busybox:1.36';
const OTHERS = `morpheo-step/${'a'.repeat(64)}`;
const URL = 'http://127.0.0.1:8099/secret';
const END = 'ENTRYPOINT ["true"]';

async function docker(...args: readonly string[]): Promise<string> {
  const { socketPath } = await dind();
  return (await run('docker', ['--host', `unix://${socketPath}`, ...args])).stdout.trim();
}

/** Something that the daemon reaches, an image of somebody else, and images with declarations of their own. */
async function prepareLoot(): Promise<void> {
  const { exec } = await dind();
  await exec(
    'sh',
    '-c',
    'mkdir -p /tmp/www && echo loot > /tmp/www/secret && busybox httpd -p 127.0.0.1:8099 -h /tmp/www',
  );
  for (const [name, change] of [
    [OTHERS, 'LABEL org.morpheo.context=1'],
    ['alias:1', 'LABEL org.morpheo.context=1'],
    ['labelled:1', 'LABEL org.morpheo.line=1'],
    ['triggered:1', `ONBUILD ADD ${URL} /loot`],
    ['strange:1', 'VOLUME relative'],
  ] as const) {
    const id = await docker('create', BASE, 'true');
    await docker('commit', '--change', change, id, name);
    await docker('rm', id);
  }
}

/** Ways round the rules: each was one for some reader of Dockerfiles, and none of them may build. */
const ATTACKS: Readonly<Record<string, string>> = {
  'a trigger of an own stage': `FROM ${BASE} AS a\nONBUILD ADD ${URL} /loot\nFROM a`,
  'a trigger that a base image has': 'FROM triggered:1',
  'a variable in a source of ADD': `FROM ${BASE}\nARG A=http\nADD x$A \${A}://127.0.0.1:8099/secret /loot/`,
  'a variable in quotes': `FROM ${BASE}\nENV A=${URL}\nADD "$A" /loot`,
  'quotes in an address': `FROM ${BASE}\nADD 'http'://127.0.0.1:8099/secret /loot`,
  'escapes in an address': `FROM ${BASE}\nADD \\h\\ttp://127.0.0.1:8099/secret /loot`,
  'escapes of JSON': `FROM ${BASE}\nADD ["\\u0068ttp://127.0.0.1:8099/secret", "/loot"]`,
  'JSON without blanks': `FROM ${BASE}\nADD ["Dockerfile","${URL}","/loot/"]`,
  'a here-document that never ends': `FROM ${BASE}\nCOPY <<EOF /x\nADD ${URL} /loot`,
  'a here-document around a line': `FROM ${BASE}\nRUN <<EOF\nADD ${URL} /loot\nEOF`,
  'a vertical tab': `FROM ${BASE}\nADD\v${URL} /loot`,
  'a form feed': `FROM ${BASE}\n\fADD ${URL} /loot`,
  'a blank that does not break': `FROM ${BASE}\n\u00a0ADD ${URL} /loot`,
  'a next-line character': `FROM ${BASE}\n\u0085ADD ${URL} /loot`,
  'a carriage return alone': `FROM ${BASE}\nRUN true\rADD ${URL} /loot`,
  'another mark of continuation': `# escape=\`\nFROM ${BASE}\nRUN true \\\nADD ${URL} /loot`,
  'an image from elsewhere that passes for what a RUN line made': 'FROM labelled:1',
  'an image of somebody else': `FROM ${OTHERS}`,
  'an image of somebody else, by its long name': `FROM docker.io/${OTHERS}`,
  'an image of somebody else, by another name': 'FROM alias:1',
  'an image of somebody else, by a default': `FROM \${A:-${OTHERS}}`,
  'a flag in quotes': `FROM ${BASE}\nCOPY --from="${OTHERS}" / /loot`,
  'a flag with an escape': `FROM ${BASE}\nCOPY --from=mor\\pheo-step/x / /loot`,
  'files of an image by another name': `FROM ${BASE}\nCOPY --from=alias:1 / /loot`,
  'a mount of an image': `FROM ${BASE}\nRUN --mount=type=bind,from=${OTHERS},target=/x cp -r /x /loot`,
  'a declaration of a base image that no container can have': 'FROM strange:1',
};

test.serial('No way round the rules of Dockerfiles is left', async (t) => {
  await prepareLoot();
  await using fixture = await openFixture(harness());
  for (const [title, text] of Object.entries(ATTACKS)) {
    const context = await fixture.context({ Dockerfile: `${text}\n${END}\n` });
    const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };
    const error = await t.throwsAsync(
      fixture.runtime.prepare(context, quiet),
      { instanceOf: OrderFailure },
      title,
    );
    t.is(error?.failure.reason, 'build_failed', title);
    t.notRegex(error?.message ?? '', /\/tmp\/|unix:\/\/|HTTP code/, title);
  }
});

test.serial('Files that builders look for have no meaning in an archive', async (t) => {
  await using fixture = await openFixture(harness());
  const context = await fixture.context({
    Dockerfile: `FROM ${BASE}\nCOPY . /app\nENTRYPOINT ["ls", "-A", "/app"]`,
    '.dockerignore': '*',
    'Dockerfile.dockerignore': '*',
    'sub/dockerfile': `FROM ${BASE}\nADD ${URL} /loot`,
  });
  t.is((await fixture.run(context)).stdout, '.dockerignore\nDockerfile\nDockerfile.dockerignore\nsub\n');
});

async function built(fixture: RuntimeFixture, lines: string) {
  let log = '';
  const onOutput = async ({ bytes }: OutputChunk) => {
    log += Buffer.from(bytes).toString();
  };
  const context = await fixture.context({ Dockerfile: `FROM ${BASE}\n${lines}\n${END}` });
  const options = { signal: new AbortController().signal, onOutput };
  const error = await fixture.runtime.prepare(context, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { log, error };
}

test.serial('A RUN line has few rights, no network, and is killed before any step is', async (t) => {
  await using fixture = await openFixture(harness());
  const probes = `RUN grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status; ls /sys/class/net; \\
    cat /proc/self/oom_score_adj; mount -t tmpfs x /mnt; mknod /d b 254 0; chroot / true; unshare -m true; \\
    ping -c 1 127.0.0.1; find / -xdev -name docker.sock; ls /dev/mem /dev/kmsg; true`;
  const { log, error } = await built(fixture, probes);
  t.is(error, undefined);
  // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID.
  t.regex(log, /CapBnd:\s+00000000000000db\nCapEff|CapEff:\s+00000000000000db/);
  t.regex(log, /NoNewPrivs:\s+1\nSeccomp:\s+2\nlo\n/);
  // What is denied is told on the other stream, so that it may come in between.
  t.regex(log, /^900$/m);
  for (const denied of [
    /mount: .*(denied|not permitted)/,
    /mknod: .*not permitted/,
    /chroot: .*not permitted/,
  ])
    t.regex(log, denied);
  t.notRegex(log, /^\/.*docker\.sock|bytes from/m);
});

test.serial('A RUN line that takes all it can leaves the steps beside it alone', async (t) => {
  const bounds = {
    buildProcesses: 32,
    buildMemoryBytes: 64_000_000,
    buildDiskBytes: 30_000_000,
    buildMs: 240_000,
  };
  await using fixture = await openFixture(harness(bounds));
  const began = Promise.withResolvers<void>();
  const stop = new AbortController();
  const beside = fixture.run(
    { sh: 'echo here; while :; do sleep 1; done' },
    { onOutput: async () => began.resolve(), signal: stop.signal },
  );
  await began.promise;
  const bomb = await built(fixture, 'RUN i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done');
  t.regex(String(bomb.error), /line 2: .* ended with exit code/);
  t.regex(bomb.log, /can't fork/);
  const memory = await built(fixture, 'RUN tail /dev/zero');
  t.like((memory.error as OrderFailure).failure, { reason: 'out_of_memory', step: 'build' });
  const disk = await built(fixture, 'RUN head -c 200000000 /dev/zero > /x; sleep 1000');
  t.like((disk.error as OrderFailure).failure, { reason: 'disk_full', step: 'build' });
  // Nobody has ended the step: it runs until it is told to stop.
  stop.abort(new Error('the test has seen enough'));
  await t.throwsAsync(beside, { message: 'the test has seen enough' });
});

test.serial('What an image has where the folders of a step are mounted is its own doing', async (t) => {
  await using fixture = await openFixture(harness());
  const mounts = [await fixture.mount('/data/out')];
  for (const [line, at] of [
    ['RUN touch /data', '/data/out'],
    ['RUN mkdir /data; ln -s /proc /data/out', '/data/out'],
    ['RUN rm -r /tmp; touch /tmp', '/tmp'],
  ] as const) {
    const context = await fixture.context({ Dockerfile: `FROM ${BASE}\n${line}\n${END}` });
    const { ended, exitCode, stderr } = await fixture.run(context, { mounts });
    const told = `Cannot start true: the image has a file or a link where the folder ${at} must be.\n`;
    t.deepEqual({ ended, exitCode, stderr }, { ended: 'exited', exitCode: 126, stderr: told }, line);
  }
});

test.serial('A step that somebody else kills, well below its limits, was not at fault', async (t) => {
  await using fixture = await openFixture(harness());
  const limits = { memoryBytes: 100_000_000_000 };
  const killedAfter = async (forMs: number) => {
    const began = Promise.withResolvers<void>();
    const onOutput = async () => began.resolve();
    const running = fixture.run({ sh: 'echo here; exec sleep 1000' }, { limits, onOutput });
    await began.promise;
    await sleep(forMs);
    await docker('kill', '--signal', 'KILL', await docker('ps', '--quiet'));
    return { forMs, ...(await running) };
  };
  let killed = await killedAfter(1500);
  // Its memory was looked at meanwhile, unless the machine is busy.
  while (killed.killedBelowLimits !== true && killed.forMs < 60_000)
    killed = await killedAfter(killed.forMs * 6);
  t.like(killed, { ended: 'exited', exitCode: 137, killedBelowLimits: true });
});
