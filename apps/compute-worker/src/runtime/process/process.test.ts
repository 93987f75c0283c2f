import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { testContainerRuntime } from '../conformance/index.ts';
import { eventually, openFixture, type RuntimeHarness, startWorker } from '../conformance/runtime-fixture.ts';
import { openProcessRuntime } from './index.ts';

const lines: string[] = [];
const nothing = () => undefined;
const log = {
  debug: nothing,
  info: nothing,
  warn: (_: Record<string, unknown>, message: string) => void lines.push(message),
  error: nothing,
  child: () => log,
};

const harness: RuntimeHarness = {
  name: 'process',
  bases: { node: 'node:24-slim', sh: 'debian:bookworm-slim' },
  enforcesReadOnly: false,
  sharesFolders: true,
  placesSharedMemory: false,
  open: (folder) => openProcessRuntime({ folder, log }),
  // HOME of every run lies below the folder: a way to find processes that the runtime itself does not use.
  leftovers: async (folder) =>
    readdirSync('/proc').filter((name) => /^\d+$/.test(name) && holds(name, `HOME=${folder}/`)),
  abandon: async (folder, context, spec, file) => {
    const kill = startWorker('process', { folder }, context, spec);
    await eventually('the run has started', () => existsSync(file));
    await kill();
  },
};

function holds(pid: string, text: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(text);
  } catch {
    return false;
  }
}

testContainerRuntime(harness);

test.serial('Opening says once that nothing is isolated', async (t) => {
  await using fixture = await openFixture(harness);
  t.false(fixture.runtime.isolates);
  t.true(lines.some((line) => /isolates nothing/.test(line)));
});

test.serial('The build log says which lines have no effect', async (t) => {
  await using fixture = await openFixture(harness);
  const Dockerfile = 'FROM python:3\nRUN pip install numpy\nUSER nobody\nENTRYPOINT ["true"]';
  const chunks: Uint8Array[] = [];
  await fixture.runtime.prepare(await fixture.context({ Dockerfile }), {
    signal: new AbortController().signal,
    onOutput: async ({ bytes }) => void chunks.push(bytes),
  });
  t.regex(
    Buffer.concat(chunks).toString(),
    /line 1: python:3 is not used.*\n.*line 2: RUN is not executed.*\n.*line 3: USER has no effect/,
  );
});

test.serial('The node of the worker is the node of the program', async (t) => {
  await using fixture = await openFixture(harness);
  t.is((await fixture.run({ node: 'console.log(process.execPath)' })).stdout.trim(), process.execPath);
});

test.serial('Home and temporary folder of a run lie in its scratch folder [R16]', async (t) => {
  await using fixture = await openFixture(harness);
  const { stdout } = await fixture.run({ sh: 'echo $HOME; echo $TMPDIR; cd $HOME && cd $TMPDIR && pwd' });
  for (const path of stdout.trim().split('\n'))
    t.true(path.startsWith(join(fixture.folder, 'scratch-')), path);
});

test.serial('Container paths are replaced after an option and in lists of the environment too', async (t) => {
  await using fixture = await openFixture(harness);
  const mount = await fixture.mount('/data/train');
  await writeFile(join(mount.host, 'x'), 'seen ');
  const Dockerfile = `FROM x
    ENV LIST=/data/train:/etc PATH=/app/bin:$PATH
    COPY . /app
    ENTRYPOINT ["sh", "/app/main.sh", "--input=/data/train/x", "/etc/hostname", "https://example.org/data/train"]`;
  const context = await fixture.context({
    Dockerfile,
    'main.sh': 'cat "$(echo "$1" | cut -d= -f2)" "$(echo "$LIST" | cut -d: -f1)/x"; echo "$2 $3 $LIST"; tool',
    'bin/tool': '#!/bin/sh\necho tool',
  });
  await chmod(join(context.folder, 'bin', 'tool'), 0o755);
  const result = await fixture.run(context, { mounts: [mount] });
  t.regex(
    result.stdout,
    /^seen seen \/etc\/hostname https:\/\/example\.org\/data\/train .*:\/etc\ntool\n$/,
    result.stderr,
  );
});

test.serial('COPY lines put files and folders where Docker would', async (t) => {
  await using fixture = await openFixture(harness);
  const Dockerfile = `FROM x
    WORKDIR /w
    COPY a.txt b.txt texts/
    COPY lib copied
    COPY *.txt .
    COPY ["a.txt", "renamed file"]
    COPY . /all
    ENTRYPOINT ["sh", "-c", "find . -type f | sort; ls /all"]`;
  const context = await fixture.context({ Dockerfile, 'a.txt': 'a', 'b.txt': 'b', 'lib/deep/c': 'c' });
  const { stdout, stderr } = await fixture.run(context);
  const expected = ['a.txt', 'b.txt', 'copied/deep/c', 'renamed file', 'texts/a.txt', 'texts/b.txt'];
  t.deepEqual(
    stdout.trim().split('\n'),
    expected.map((path) => `./${path}`),
    stderr,
  );
});

test.serial('A daemon that empties its environment is ended with its run', async (t) => {
  await using fixture = await openFixture(harness);
  const mount = await fixture.mount('/data/out');
  // The seconds at the end let a busy worker look at the first process, whose output the daemon is found by.
  const sh = `env -i setsid sh -c 'echo $$ > '"$2"'/pid; exec sleep 1000' & while [ ! -s "$2/pid" ]; do :; done; sleep 3`;
  const result = await fixture.run({ sh }, { args: ['/data/out'], mounts: [mount] });
  t.is(result.exitCode, 0);
  const pid = Number(await readFile(join(mount.host, 'pid'), 'utf8'));
  t.true(pid > 1);
  // Dead at once; that it is gone as well is up to the machine's first process.
  await eventually('the daemon is gone', () => !existsSync(`/proc/${pid}`));
});

test.serial(
  'A program that starts processes faster than they are killed is ended all the same',
  async (t) => {
    await using fixture = await openFixture(harness);
    const sh =
      'i=0; while [ $i -lt 200 ]; do setsid sh -c "sleep 1000 & sleep 1000" & i=$((i+1)); done; echo; wait';
    const onOutput = async () => controller.abort();
    const controller = new AbortController();
    await t.throwsAsync(fixture.run({ sh }, { signal: controller.signal, onOutput }), { name: 'AbortError' });
    t.deepEqual(await fixture.leftovers(), []);
  },
);

test.serial('What lies deeper than a path can say counts as what lies elsewhere', async (t) => {
  await using fixture = await openFixture(harness);
  const node = `import fs from 'node:fs';
    process.chdir(process.argv[3]);
    for (let i = 0; i < 200; i += 1) { fs.mkdirSync('x'.repeat(50)); process.chdir('x'.repeat(50)); }`;
  const mount = await fixture.mount('/data/out');
  const run = { args: ['/data/out'], mounts: [mount] };
  t.is((await fixture.run({ node }, run)).ended, 'exited');
  const deeper = { node: `${node} for (let i = 0; i < 200; i += 1) fs.writeFileSync(String(i), '');` };
  const below = await fixture.mount('/data/out');
  const limits = { diskFiles: 300 };
  t.is((await fixture.run(deeper, { ...run, mounts: [below], limits })).ended, 'disk_full');
});

test.serial('A scratch folder serves one run only', async (t) => {
  await using fixture = await openFixture(harness);
  const options = { signal: new AbortController().signal, onOutput: async () => undefined };
  const image = await fixture.runtime.prepare(await fixture.program({ sh: 'true' }), options);
  const spec = { ...(await fixture.spec()), image };
  t.is((await fixture.runtime.run(spec, options)).exitCode, 0);
  await t.throwsAsync(fixture.runtime.run(spec, options), { code: 'internal', message: /was used before/ });
});

test.serial('A mount whose folder is not there is the fault of the caller', async (t) => {
  await using fixture = await openFixture(harness);
  const mount = { host: join(fixture.folder, 'gone'), container: '/data/train', readOnly: false };
  await t.throwsAsync(fixture.run({ sh: 'true' }, { mounts: [mount] }), {
    code: 'internal',
    message: /is not there/,
  });
});

test.serial('COPY lines that would fill the disk fail to build', async (t) => {
  await using fixture = await openFixture(harness);
  const copies = Array.from({ length: 20 }, (_, index) => `COPY big /copy${index}`).join('\n');
  const Dockerfile = `FROM x\n${copies}\nENTRYPOINT ["true"]`;
  const context = await fixture.context({ Dockerfile, big: 'x'.repeat(100_000) });
  const error = await t.throwsAsync(fixture.run(context, { limits: { diskBytes: 1_000_000 } }));
  t.like(error, { failure: { reason: 'build_failed' } });
  t.regex(error.message, /line 12: The COPY lines make more than the disk/);
});

test.serial('Sources of COPY lines that are not there are found before anything runs', async (t) => {
  await using fixture = await openFixture(harness);
  const context = await fixture.context({ Dockerfile: 'FROM x\nCOPY *.bin /app/\nENTRYPOINT ["true"]' });
  await t.throwsAsync(fixture.run(context), { message: /line 2: There is no \*\.bin in the archive/ });
});
