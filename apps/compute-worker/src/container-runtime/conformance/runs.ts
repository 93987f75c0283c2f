import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import { eventually, openBench, type RuntimeHarness } from './bench.ts';

/** How a program runs: its arguments, mounts, environment, output and end. */
export function testRuns(harness: RuntimeHarness, test: TestFn): void {
  const { name } = harness;

  test.serial(
    `${name}: A program gets the arguments of its entry point, then those of the run`,
    async (t) => {
      await using bench = await openBench(harness);
      const node = `console.log(JSON.stringify(process.argv.slice(2)))`;
      const result = await bench.run({ node }, { args: ['-T', 'train', 'two words', '$HOME', ''] });
      t.deepEqual(JSON.parse(result.stdout), ['first', '-T', 'train', 'two words', '$HOME', '']);
      t.is(result.ended, 'exited');
      t.is(result.exitCode, 0);
    },
  );

  test.serial(`${name}: A shell runs as well as node does`, async (t) => {
    await using bench = await openBench(harness);
    const result = await bench.run({ sh: 'echo "$1-$2"; echo wrong >&2; exit 3' }, { args: ['x'] });
    t.is(result.stdout, 'first-x\n');
    t.is(result.stderr, 'wrong\n');
    t.is(result.exitCode, 3);
  });

  test.serial(`${name}: Mounts stand at their paths and keep what is written`, async (t) => {
    await using bench = await openBench(harness);
    const train = await bench.mount('/data/train');
    const hidden = await bench.mount('/hidden_data/test', true);
    await writeFile(join(train.host, 'in'), 'from the host');
    await writeFile(join(hidden.host, 'target'), '42');
    const sh =
      'cat "$3/train/in" "$5/test/target"; mkdir "$3/train/pred"; echo new > "$3/train/pred/out"; ls "$3"';
    const result = await bench.run(
      { sh },
      { args: ['-V', '/data', '-i', '/hidden_data'], mounts: [train, hidden] },
    );
    t.is(result.stdout, 'from the host42train\n', result.stderr);
    t.is(await readFile(join(train.host, 'pred', 'out'), 'utf8'), 'new\n');
  });

  test.serial(`${name}: A mount may lie in the folder of another`, async (t) => {
    await using bench = await openBench(harness);
    const outer = await bench.mount('/data/test');
    const inner = { host: join(outer.host, 'pred'), container: '/data/test/pred', readOnly: false };
    await mkdir(inner.host);
    const result = await bench.run(
      { sh: 'echo x > "$2/pred/a"; ls "$2" "$3"' },
      { args: ['/data/test', '/data/test/pred'], mounts: [inner, outer] },
    );
    t.is(result.exitCode, 0, result.stderr);
    t.is(await readFile(join(inner.host, 'a'), 'utf8'), 'x\n');
  });

  if (harness.enforcesReadOnly) {
    test.serial(`${name}: A mount for reading only cannot be written to`, async (t) => {
      await using bench = await openBench(harness);
      const mount = await bench.mount('/data/train', true);
      const result = await bench.run({ sh: 'echo x > "$2/new"' }, { args: ['/data/train'], mounts: [mount] });
      t.not(result.exitCode, 0);
    });
  }

  test.serial(`${name}: The environment of the worker is not handed on`, async (t) => {
    await using bench = await openBench(harness);
    const result = await bench.run({ node: 'console.log(JSON.stringify(process.env))' });
    const environment = JSON.parse(result.stdout);
    t.true('PATH' in environment && 'HOME' in environment);
    for (const name of ['npm_config_user_agent', 'AVA_PATH', 'NODE_ENV', 'USER', 'PWD', 'NODE_PATH']) {
      t.false(name in environment, name);
    }
  });

  test.serial(`${name}: Nothing is to be read from stdin`, async (t) => {
    await using bench = await openBench(harness);
    t.is((await bench.run({ sh: 'cat; echo end' })).stdout, 'end\n');
  });

  test.serial(`${name}: A program that is not there ends with 127 and says so`, async (t) => {
    await using bench = await openBench(harness);
    const Dockerfile = `FROM ${harness.bases.sh}\nENTRYPOINT ["no-such-program"]\n`;
    const result = await bench.run(await bench.context({ Dockerfile }));
    t.is(result.ended, 'exited');
    t.is(result.exitCode, 127);
    t.regex(result.stderr, /no-such-program.*(not found|No such file)/);
  });

  test.serial(`${name}: Output comes whole and in order`, async (t) => {
    await using bench = await openBench(harness);
    const node = `for (let i = 0; i < 200000; i += 1) process.stdout.write(i + '\\n');`;
    const { stdout } = await bench.run({ node });
    t.is(stdout, Array.from({ length: 200_000 }, (_, index) => `${index}\n`).join(''));
  });

  if (harness.sharesFolders) {
    test.serial(`${name}: A program waits while the receiver of its output is busy`, async (t) => {
      await using bench = await openBench(harness);
      const mount = await bench.mount('/data/out');
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
      const result = await bench.run({ node }, { args: ['/data/out'], mounts: [mount], onOutput });
      t.is(result.exitCode, 0);
      t.is(received, 10_000_000);
      t.true(stoodAt <= 4_000_000, `${stoodAt} bytes were buffered`);
    });
  }

  test.serial(`${name}: An error of the receiver kills the run and is passed on`, async (t) => {
    await using bench = await openBench(harness);
    const lost = new Error('The log cannot be written');
    const onOutput = () => Promise.reject(lost);
    const error = await t.throwsAsync(bench.run({ sh: 'echo x; sleep 1000' }, { onOutput }));
    t.is(error, lost);
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: Runs go on side by side and do not mix`, async (t) => {
    await using bench = await openBench(harness);
    const context = await bench.program({ sh: 'cd "$TMPDIR"; echo "$2" > mine; sleep 0.2; cat mine' });
    const results = await Promise.all(['a', 'b', 'c'].map((word) => bench.run(context, { args: [word] })));
    t.deepEqual(
      results.map(({ stdout }) => stdout),
      ['a\n', 'b\n', 'c\n'],
    );
  });

  test.serial(`${name}: What a run took is told`, async (t) => {
    await using bench = await openBench(harness);
    const node = `const held = Buffer.alloc(200_000_000, 1);
      const end = Date.now() + 1500; while (Date.now() < end); console.log(held.length)`;
    const { seconds, peakMemoryBytes, cpuSeconds } = await bench.run({ node });
    t.true(seconds >= 1.5 && seconds < 60);
    if (peakMemoryBytes !== undefined) t.true(peakMemoryBytes > 200_000_000 && peakMemoryBytes < 800_000_000);
    if (cpuSeconds !== undefined) t.true(cpuSeconds > 0.2 && cpuSeconds < 30);
  });
}
