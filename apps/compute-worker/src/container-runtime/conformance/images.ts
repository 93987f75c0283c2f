import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import type { TestFn } from 'ava';
import { eventually, openBench, type RuntimeHarness } from './bench.ts';

const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };

/** How images come to be, and how a runtime comes and goes. */
export function testImages(harness: RuntimeHarness, test: TestFn): void {
  const { name, bases } = harness;

  test.serial(`${name}: A build context is prepared once for its digest`, async (t) => {
    await using bench = await openBench(harness);
    const context = await bench.program({ sh: 'echo ran' });
    t.false((await bench.runtime.prepare(context, quiet)).cached);
    const again = await bench.runtime.prepare(context, quiet);
    t.true(again.cached);
    t.is((await bench.run(context)).stdout, 'ran\n');
  });

  test.serial(`${name}: Two who prepare the same at once share the work`, async (t) => {
    await using bench = await openBench(harness);
    const context = await bench.program({ sh: 'echo ran' });
    const images = await Promise.all([
      bench.runtime.prepare(context, quiet),
      bench.runtime.prepare(context, quiet),
    ]);
    t.deepEqual(images.map(({ cached }) => cached).sort(), [false, true]);
  });

  const broken: Record<string, [Record<string, string>, RegExp]> = {
    'without a Dockerfile': [{ 'main.js': '' }, /Dockerfile/],
    'without a FROM line': [{ Dockerfile: 'ENTRYPOINT ["true"]' }, /FROM/i],
    'with an empty Dockerfile': [{ Dockerfile: '' }, /Dockerfile|FROM/],
    'with an unknown instruction': [
      { Dockerfile: `FROM ${bases.sh}\nBANANA 1\nENTRYPOINT ["true"]` },
      /BANANA/,
    ],
    'that copies what is not there': [
      { Dockerfile: `FROM ${bases.sh}\nCOPY weights.bin /app/\nENTRYPOINT ["true"]` },
      /weights\.bin/,
    ],
    'without an entry point': [{ Dockerfile: `FROM ${bases.sh}\nCOPY . /app\n` }, /ENTRYPOINT/],
    'with an entry point in the shell form': [
      { Dockerfile: `FROM ${bases.sh}\nENTRYPOINT node main.js\n` },
      /ENTRYPOINT.*\["node", "\/app\/main\.js"\]/,
    ],
  };
  for (const [what, [files, message]] of Object.entries(broken)) {
    test.serial(`${name}: A build context ${what} fails to build, and says why`, async (t) => {
      await using bench = await openBench(harness);
      const context = await bench.context(files);
      const error = await t.throwsAsync(bench.runtime.prepare(context, quiet), { instanceOf: OrderFailure });
      t.is(error.failure.reason, 'build_failed');
      t.regex(error.message, message);
    });
  }

  test.serial(`${name}: A failure to build is not remembered as a success`, async (t) => {
    await using bench = await openBench(harness);
    const context = await bench.context({ Dockerfile: 'nonsense' });
    await t.throwsAsync(bench.runtime.prepare(context, quiet));
    await t.throwsAsync(bench.runtime.prepare(context, quiet), { instanceOf: OrderFailure });
  });

  test.serial(`${name}: What a run changes in its image is not seen by the next`, async (t) => {
    await using bench = await openBench(harness);
    const context = await bench.program({ sh: 'cat "$2"; echo "echo changed" > "$2" || true' });
    const first = await bench.run(context, { args: ['/app/main.sh'] });
    const second = await bench.run(context, { args: ['/app/main.sh'] });
    t.is(second.stdout, first.stdout);
    t.notRegex(await readFile(join(context.folder, 'main.sh'), 'utf8'), /^echo changed/);
  });

  test.serial(`${name}: Variables and the working folder of the Dockerfile hold`, async (t) => {
    await using bench = await openBench(harness);
    const Dockerfile = `FROM ${bases.sh}
      ENV GREETING="hello you" TWICE=$GREETING
      WORKDIR /srv
      WORKDIR sub
      COPY main.sh ./
      ENTRYPOINT ["sh", "main.sh"]`;
    const context = await bench.context({ Dockerfile, 'main.sh': 'echo "$GREETING"; basename "$PWD"' });
    t.is((await bench.run(context)).stdout, 'hello you\nsub\n');
  });

  test.serial(`${name}: A runtime that is closed kills what runs, and runs no more`, async (t) => {
    await using bench = await openBench(harness);
    const started = Promise.withResolvers<void>();
    const running = bench.run({ sh: 'echo x; sleep 1000' }, { onOutput: async () => started.resolve() });
    await started.promise;
    const [error] = await Promise.all([
      t.throwsAsync(running, { code: 'unavailable' }),
      bench.runtime[Symbol.asyncDispose](),
    ]);
    t.truthy(error);
    t.deepEqual(await bench.leftovers(), []);
    await bench.runtime[Symbol.asyncDispose]();
    await t.throwsAsync(bench.run({ sh: 'true' }), { code: 'unavailable' });
    await t.throwsAsync(bench.runtime.ping(), { code: 'unavailable' });
  });

  if (harness.sharesFolders) {
    test.serial(`${name}: A worker that starts ends what its dead self left running`, async (t) => {
      await using bench = await openBench(harness);
      const mount = await bench.mount('/data/out');
      const context = await bench.program({ sh: '(setsid sleep 1000 &); touch "$2/started"; sleep 1000' });
      const spec = await bench.spec({ args: ['/data/out'], mounts: [mount] });
      await harness.abandon(join(bench.folder, 'worker'), context, spec, join(mount.host, 'started'));
      t.not((await bench.leftovers()).length, 0);
      await bench.runtime.recover();
      await eventually('nothing is left', async () => (await bench.leftovers()).length === 0);
    });
  }

  test.serial(`${name}: A runtime that is ready says so`, async (t) => {
    await using bench = await openBench(harness);
    await t.notThrowsAsync(bench.runtime.ping());
    t.is(bench.runtime.name, name);
  });
}
