import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '@morpheo/common';
import type { TestFn } from 'ava';
import type { Mount, RunResult } from '../index.ts';
import { eventually, openFixture, type RuntimeHarness } from './runtime-fixture.ts';

/** How a program runs: its arguments, mounts, environment, output and end. */
export function testRuns(harness: RuntimeHarness, test: TestFn): void {
  const { name } = harness;

  test.serial(
    `${name}: A program gets the arguments of its entry point, then those of the run [R6]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const node = `console.log(JSON.stringify(process.argv.slice(2)))`;
      const result = await fixture.run({ node }, { args: ['-T', 'train', 'two words', '$HOME', ''] });
      t.deepEqual(JSON.parse(result.stdout), ['first', '-T', 'train', 'two words', '$HOME', '']);
      t.is(result.ended, 'exited');
      t.is(result.exitCode, 0);
    },
  );

  test.serial(`${name}: It tells what programs are made for [R34]`, async (t) => {
    await using fixture = await openFixture(harness);
    const { stdout } = await fixture.run({ sh: 'uname -m' });
    t.is(await fixture.runtime.machine?.(AbortSignal.timeout(60_000)), stdout.trim());
  });

  test.serial(`${name}: A shell runs as well as node does [R7]`, async (t) => {
    await using fixture = await openFixture(harness);
    const result = await fixture.run({ sh: 'echo "$1-$2"; echo wrong >&2; exit 3' }, { args: ['x'] });
    t.is(result.stdout, 'first-x\n');
    t.is(result.stderr, 'wrong\n');
    t.is(result.exitCode, 3);
  });

  test.serial(`${name}: Mounts stand at their paths and keep what is written [R8] [R15]`, async (t) => {
    await using fixture = await openFixture(harness);
    const train = await fixture.mount('/data/train');
    const hidden = await fixture.mount('/hidden_data/test', true);
    await writeFile(join(train.host, 'in'), 'from the host');
    await writeFile(join(hidden.host, 'target'), '42');
    const sh =
      'cat "$3/train/in" "$5/test/target"; mkdir "$3/train/pred"; echo new > "$3/train/pred/out"; ls "$3"';
    const result = await fixture.run(
      { sh },
      { args: ['-V', '/data', '-i', '/hidden_data'], mounts: [train, hidden] },
    );
    t.is(result.stdout, 'from the host42train\n', result.stderr);
    t.is(await readFile(join(train.host, 'pred', 'out'), 'utf8'), 'new\n');
  });

  test.serial(`${name}: A mount may lie in the folder of another [R8]`, async (t) => {
    await using fixture = await openFixture(harness);
    const outer = await fixture.mount('/data/test');
    const inner = { host: join(outer.host, 'pred'), container: '/data/test/pred', readOnly: false };
    await mkdir(inner.host);
    const result = await fixture.run(
      { sh: 'echo x > "$2/pred/a"; ls "$2" "$3"' },
      { args: ['/data/test', '/data/test/pred'], mounts: [inner, outer] },
    );
    t.is(result.exitCode, 0, result.stderr);
    t.is(await readFile(join(inner.host, 'a'), 'utf8'), 'x\n');
  });

  if (harness.enforcesReadOnly) {
    test.serial(`${name}: A mount for reading only cannot be written to`, async (t) => {
      await using fixture = await openFixture(harness);
      const mount = await fixture.mount('/data/train', true);
      const result = await fixture.run(
        { sh: 'echo x > "$2/new"' },
        { args: ['/data/train'], mounts: [mount] },
      );
      t.not(result.exitCode, 0);
    });
  }

  test.serial(`${name}: The environment of the worker is not handed on`, async (t) => {
    await using fixture = await openFixture(harness);
    const result = await fixture.run({ node: 'console.log(JSON.stringify(process.env))' });
    const environment = JSON.parse(result.stdout);
    t.true('PATH' in environment && 'HOME' in environment);
    for (const name of ['npm_config_user_agent', 'AVA_PATH', 'NODE_ENV', 'USER', 'PWD', 'NODE_PATH']) {
      t.false(name in environment, name);
    }
  });

  test.serial(
    `${name}: A run has the variables that its caller sets, whatever the image says, and paths of mounts lead there [R35] [R37]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const outputs = await fixture.mount('/outputs');
      const Dockerfile = `FROM ${harness.bases.sh}\nENV SEED=1 KEPT=2\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n`;
      const sh = 'echo "$SEED $KEPT $EMPTY. $PYTHONUNBUFFERED $1" > "$WHERE/said"; cat "$2/said"';
      const context = await fixture.context({ Dockerfile, 'main.sh': sh });
      const environment = { SEED: 'a = "b"', EMPTY: '', WHERE: '/outputs', PYTHONUNBUFFERED: '0' };
      const args = ['$SEED', '/outputs'];
      const result = await fixture.run(context, { args, environment, mounts: [outputs] });
      t.is(result.stdout, 'a = "b" 2 . 0 $SEED\n', result.stderr);
      t.is(await readFile(join(outputs.host, 'said'), 'utf8'), result.stdout);
    },
  );

  test.serial(
    `${name}: Files that are read only, and many folders, stand at any paths, also beside what the image has [R8] [R36]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const mounts: Mount[] = [];
      for (const [index, container] of ['/app/config/a.json', '/b', '/work/in/deep/c.csv'].entries()) {
        const host = join(fixture.folder, `file-${index}`);
        await writeFile(host, `${index} `, { mode: index === 1 ? 0o755 : 0o644 });
        mounts.push({ host, container, readOnly: true });
      }
      const context = await fixture.context({
        Dockerfile: `FROM ${harness.bases.sh}\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n`,
        'main.sh': 'cat "$@"; test -x "$2" && ! test -x "$1" && echo "told apart"',
        'config/own': 'of the image',
      });
      const args = [...mounts.map((mount) => mount.container), '/app/config/own'];
      for (let index = 0; index < 20; index += 1) {
        const folder = await fixture.mount(`/many/${index}`, true);
        await writeFile(join(folder.host, 'file'), String(index % 10));
        mounts.push(folder);
        args.push(`/many/${index}/file`);
      }
      const result = await fixture.run(context, { args, mounts });
      t.is(result.stdout, '0 1 2 of the image01234567890123456789told apart\n', result.stderr);
    },
  );

  test.serial(`${name}: What a container needs for itself is nobody's to set or to hide [R38]`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.program({ sh: 'echo ran' });
    for (const name of ['NVIDIA_VISIBLE_DEVICES', 'MORPHEO_RUN', 'not a name', 'A=B'])
      await t.throwsAsync(
        fixture.run(context, { environment: { [name]: 'all' } }),
        { code: 'internal' },
        name,
      );
    const { host } = await fixture.mount('/data');
    for (const container of [
      '/',
      '/proc/self',
      '/dev',
      '/etc',
      '/usr/bin',
      'data',
      '/data/../etc',
      '/tmp',
      '/a:/b',
    ])
      await t.throwsAsync(
        fixture.run(context, { mounts: [{ host, container, readOnly: false }] }),
        { code: 'internal' },
        container,
      );
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: Nothing is to be read from stdin`, async (t) => {
    await using fixture = await openFixture(harness);
    t.is((await fixture.run({ sh: 'cat; echo end' })).stdout, 'end\n');
  });

  test.serial(`${name}: A program that is not there ends with 127 and says so [R14]`, async (t) => {
    await using fixture = await openFixture(harness);
    const Dockerfile = `FROM ${harness.bases.sh}\nENTRYPOINT ["no-such-program"]\n`;
    const result = await fixture.run(await fixture.context({ Dockerfile }));
    t.is(result.ended, 'exited');
    t.is(result.exitCode, 127);
    t.regex(result.stderr, /no-such-program.*(not found|No such file)/);
    t.regex(result.notStarted ?? '', /no-such-program is in no folder of the PATH of the image/);
  });

  test.serial(`${name}: A file that is no program ends with 126 and says so [R14]`, async (t) => {
    await using fixture = await openFixture(harness);
    const Dockerfile = `FROM ${harness.bases.sh}\nCOPY . /app\nENTRYPOINT ["/app/data.txt"]\n`;
    const result = await fixture.run(await fixture.context({ Dockerfile, 'data.txt': 'x' }));
    t.is(result.ended, 'exited');
    t.is(result.exitCode, 126);
    t.regex(result.stderr, /data\.txt(: not executable| failed: Permission denied)/);
    t.regex(result.notStarted ?? '', /data\.txt may not be executed: COPY it with --chmod=755/);
  });

  test.serial(`${name}: A script with line ends of Windows is told as what it is [R14]`, async (t) => {
    await using fixture = await openFixture(harness);
    const Dockerfile = `FROM ${harness.bases.sh}\nCOPY --chmod=755 . /app\nENTRYPOINT ["/app/main.sh"]\n`;
    const files = { Dockerfile, 'main.sh': '#!/bin/sh\r\necho hi\r\n' };
    const result = await fixture.run(await fixture.context(files));
    t.like(result, { ended: 'exited', exitCode: 127 });
    t.regex(
      result.notStarted ?? '',
      /ENTRYPOINT of the Dockerfile: \/app\/main\.sh has lines that end with CR LF/,
    );
  });

  test.serial(`${name}: A signal that ends a program is told as 128 and its number [R7]`, async (t) => {
    await using fixture = await openFixture(harness);
    t.like(await fixture.run({ sh: 'kill -TERM $$' }), { ended: 'exited', exitCode: 143 });
    t.like(await fixture.run({ sh: 'kill -KILL $$' }), { ended: 'exited', exitCode: 137 });
  });

  test.serial(
    `${name}: Home and the folder for temporary files may be written, for one run [R15] [R16]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const sh =
        'cat "$HOME/a" "$TMPDIR/b" 2>/dev/null; echo a > "$HOME/a"; echo b > "$TMPDIR/b"; cat "$HOME/a" "$TMPDIR/b"';
      const context = await fixture.program({ sh });
      for (let time = 0; time < 2; time += 1) t.is((await fixture.run(context)).stdout, 'a\nb\n');
    },
  );

  test.serial(`${name}: No output comes once a run is over [R13]`, async (t) => {
    await using fixture = await openFixture(harness);
    const stop = new AbortController();
    let chunks = 0;
    const onOutput = async () => {
      chunks += 1;
      if (chunks === 5) stop.abort(new Error('It was cancelled'));
    };
    await t.throwsAsync(fixture.run({ sh: 'yes' }, { signal: stop.signal, onOutput }));
    const before = chunks;
    await sleep(300);
    t.is(chunks, before);
  });

  test.serial(`${name}: Output comes whole and in order [R9]`, async (t) => {
    await using fixture = await openFixture(harness);
    const node = `for (let i = 0; i < 200000; i += 1) process.stdout.write(i + '\\n');`;
    const { stdout } = await fixture.run({ node });
    t.is(stdout, Array.from({ length: 200_000 }, (_, index) => `${index}\n`).join(''));
  });

  if (harness.sharesFolders) {
    test.serial(`${name}: A program waits while the receiver of its output is busy [R10]`, async (t) => {
      await using fixture = await openFixture(harness);
      const mount = await fixture.mount('/data/out');
      const node = `import fs from 'node:fs';
        for (let i = 1; i <= 100; i += 1) {
          fs.writeSync(1, Buffer.alloc(100_000));
          fs.writeFileSync(process.argv[3] + '/written', String(i * 100_000));
        }`;
      const written = async () =>
        Number(await readFile(join(mount.host, 'written'), 'utf8').catch(() => '0'));
      let received = 0;
      let busy = 0;
      let stoodAt = 0;
      const onOutput = async ({ bytes }: { bytes: Uint8Array }) => {
        busy += 1;
        t.is(busy, 1, 'one chunk at a time');
        if (received === 0) {
          let [last, same] = [-1, 0];
          await eventually('the program stands still', async () => {
            const now = await written();
            same = now === last ? same + 1 : 0;
            last = now;
            return same > 10;
          });
          stoodAt = last;
        }
        received += bytes.byteLength;
        busy -= 1;
      };
      const result = await fixture.run({ node }, { args: ['/data/out'], mounts: [mount], onOutput });
      t.is(result.exitCode, 0);
      t.is(received, 10_000_000);
      t.true(stoodAt <= 4_000_000, `${stoodAt} bytes were buffered`);
    });
  }

  test.serial(`${name}: An error of the receiver kills the run and is passed on [R11]`, async (t) => {
    await using fixture = await openFixture(harness);
    const lost = new Error('The log cannot be written');
    const onOutput = () => Promise.reject(lost);
    const error = await t.throwsAsync(fixture.run({ sh: 'echo x; sleep 1000' }, { onOutput }));
    t.is(error, lost);
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: Runs go on side by side and do not mix`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.program({ sh: 'cd "$TMPDIR"; echo "$2" > mine; sleep 0.2; cat mine' });
    const results = await Promise.all(['a', 'b', 'c'].map((word) => fixture.run(context, { args: [word] })));
    t.deepEqual(
      results.map(({ stdout }) => stdout),
      ['a\n', 'b\n', 'c\n'],
    );
  });

  test.serial(`${name}: That a run is near holds up nothing, though it never comes [R48]`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.program({ sh: 'echo x' });
    const options = { signal: AbortSignal.timeout(120_000), onOutput: async () => undefined };
    const image = await fixture.runtime.prepare(context, options);
    const mounts = [{ host: join(fixture.folder, 'none'), container: '/data/out', readOnly: false }];
    const { limits } = await fixture.spec();
    fixture.runtime.warmUp?.({ image, args: ['never'], mounts, limits });
    fixture.runtime.warmUp?.({ image: { reference: 'none', cached: false }, mounts, limits });
    t.is((await fixture.run(context)).stdout, 'x\n');
    await fixture.runtime[Symbol.asyncDispose]();
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(
    `${name}: Nothing is left of a run that has ended when its runtime is closed [R47]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      await fixture.run({ sh: 'echo x' });
      await fixture.runtime[Symbol.asyncDispose]();
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: What a run took is told`, async (t) => {
    await using fixture = await openFixture(harness);
    const run = async (holdMs: number) => {
      const node = `const held = Buffer.alloc(200_000_000, 1);
        const used = () => process.threadCpuUsage().user + process.threadCpuUsage().system;
        while (used() < 500_000); setTimeout(() => console.log(held.length), ${holdMs})`;
      return { holdMs, ...(await fixture.run({ node })) };
    };
    // Whoever looks now and then does so less often the busier the machine is.
    const isSeen = ({ peakMemoryBytes = Infinity, cpuSeconds = Infinity }: Partial<RunResult>) =>
      peakMemoryBytes > 200_000_000 && cpuSeconds > 0.2;
    let took = await run(1000);
    while (!isSeen(took) && took.holdMs < 60_000) took = await run(took.holdMs * 4);
    const { holdMs, seconds, peakMemoryBytes, cpuSeconds } = took;
    t.true(seconds >= holdMs / 1000 && seconds < 600, `${seconds} s`);
    if (peakMemoryBytes !== undefined)
      t.true(peakMemoryBytes > 200_000_000 && peakMemoryBytes < 800_000_000, `${peakMemoryBytes} bytes`);
    if (cpuSeconds !== undefined)
      t.true(cpuSeconds > 0.2 && cpuSeconds < 30, `${cpuSeconds} s on a processor`);
  });
}
