import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import type { TestFn } from 'ava';
import { eventually, openFixture, type RuntimeHarness } from './runtime-fixture.ts';

const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };

/** How images come to be, and how a runtime comes and goes. */
export function testImages(harness: RuntimeHarness, test: TestFn): void {
  const { name, bases } = harness;

  test.serial(`${name}: A build context is prepared once for its digest [R1]`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.program({ sh: 'echo ran' });
    t.false((await fixture.runtime.prepare(context, quiet)).cached);
    const again = await fixture.runtime.prepare(context, quiet);
    t.true(again.cached);
    t.is((await fixture.run(context)).stdout, 'ran\n');
  });

  test.serial(`${name}: Two who prepare the same at once share the work [R2]`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.program({ sh: 'echo ran' });
    const images = await Promise.all([
      fixture.runtime.prepare(context, quiet),
      fixture.runtime.prepare(context, quiet),
    ]);
    t.deepEqual(images.map(({ cached }) => cached).sort(), [false, true]);
  });

  test.serial(`${name}: A prepared image may be run again and again [R5]`, async (t) => {
    await using fixture = await openFixture(harness);
    const image = await fixture.runtime.prepare(await fixture.program({ sh: 'exit 3' }), quiet);
    for (let time = 0; time < 2; time += 1) {
      t.is((await fixture.runtime.run({ ...(await fixture.spec()), image }, quiet)).exitCode, 3);
    }
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
    'with one in the shell form in a stage that the last starts from': [
      { Dockerfile: `FROM ${bases.sh} AS base\nENTRYPOINT node main.js\nFROM base\nENV A=1\n` },
      /line 2: The ENTRYPOINT is in the shell form/,
    ],
    'whose program stands in the CMD': [
      { Dockerfile: `FROM ${bases.sh}\nCOPY . /app\nENTRYPOINT ["sh"]\nCMD ["/app/main.sh"]\n` },
      /line 4: CMD is replaced by the arguments of a step/,
    ],
    'with a mount of BuildKit': [
      { Dockerfile: `FROM ${bases.sh}\nRUN --mount=type=cache,target=/x true\nENTRYPOINT ["true"]` },
      /line 2: RUN --mount is not supported: leave it out/,
    ],
    'with a here-document': [
      { Dockerfile: `FROM ${bases.sh}\nRUN <<EOF\nset -e\nEOF\nENTRYPOINT ["true"]` },
      /line 2: RUN of a here-document.*put the text into a file/,
    ],
    'with a file in a here-document': [
      { Dockerfile: `FROM ${bases.sh}\nCOPY <<EOF /x\n{"A":1}\nEOF\nENTRYPOINT ["true"]` },
      /line 2: COPY of a here-document/,
    ],
    'that copies all but something': [
      { Dockerfile: `FROM ${bases.sh}\nCOPY --exclude=*.md . /app\nENTRYPOINT ["true"]` },
      /line 2: COPY --exclude is not supported: name what to copy/,
    ],
    'in another language': [
      { Dockerfile: `# syntax=example.org/other\nFROM ${bases.sh}\nENTRYPOINT ["true"]` },
      /line 1: # syntax=.* names another language/,
    ],
    'with a trigger': [
      { Dockerfile: `FROM ${bases.sh}\nONBUILD RUN true\nENTRYPOINT ["true"]` },
      /line 2: ONBUILD is not supported/,
    ],
    'whose ADD would unpack an archive': [
      {
        Dockerfile: `FROM ${bases.sh}\nADD x.bin /app/\nENTRYPOINT ["true"]`,
        'x.bin': `x${'\0'.repeat(147)}0000570\0${'\0'.repeat(356)}`,
      },
      /line 2: ADD would unpack x\.bin.*RUN line/,
    ],
    'whose Dockerfile is UTF-16, as PowerShell writes it': [
      { Dockerfile: [...'FROM x\n'].map((character) => `${character}\0`).join('') },
      /The Dockerfile is UTF-16.*save it as UTF-8/,
    ],
    'whose Dockerfile is spelt otherwise': [
      { dockerfile: 'FROM x' },
      /dockerfile: it must be spelt Dockerfile/,
    ],
    'that is a folder in the archive': [
      { 'src/Dockerfile': 'FROM x' },
      /There is src\/Dockerfile: pack what is in src/,
    ],
  };
  for (const [what, [files, message]] of Object.entries(broken)) {
    test.serial(`${name}: A build context ${what} fails to build, and says why [R3]`, async (t) => {
      await using fixture = await openFixture(harness);
      const context = await fixture.context(files);
      const error = await t.throwsAsync(fixture.runtime.prepare(context, quiet), {
        instanceOf: OrderFailure,
      });
      t.is(error.failure.reason, 'build_failed');
      t.regex(error.message, message);
    });
  }

  test.serial(`${name}: A failure to build is not remembered as a success`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.context({ Dockerfile: 'nonsense' });
    await t.throwsAsync(fixture.runtime.prepare(context, quiet));
    await t.throwsAsync(fixture.runtime.prepare(context, quiet), { instanceOf: OrderFailure });
  });

  test.serial(`${name}: What a run changes in its image is not seen by the next [R16]`, async (t) => {
    await using fixture = await openFixture(harness);
    const context = await fixture.program({ sh: 'cat "$2"; echo "echo changed" > "$2" || true' });
    const first = await fixture.run(context, { args: ['/app/main.sh'] });
    const second = await fixture.run(context, { args: ['/app/main.sh'] });
    t.is(second.stdout, first.stdout);
    t.notRegex(await readFile(join(context.folder, 'main.sh'), 'utf8'), /^echo changed/);
  });

  test.serial(`${name}: Variables and the working folder of the Dockerfile hold`, async (t) => {
    await using fixture = await openFixture(harness);
    const Dockerfile = `FROM ${bases.sh}
      ENV GREETING="hello you" TWICE=$GREETING
      WORKDIR /srv
      WORKDIR sub
      COPY main.sh ./
      ENTRYPOINT ["sh", "main.sh"]`;
    const context = await fixture.context({ Dockerfile, 'main.sh': 'echo "$GREETING"; basename "$PWD"' });
    t.is((await fixture.run(context)).stdout, 'hello you\nsub\n');
  });

  test.serial(`${name}: Python prints at once, unless its image says otherwise [R33]`, async (t) => {
    await using fixture = await openFixture(harness);
    const contextOf = async (env: string) =>
      await fixture.context({
        Dockerfile: `FROM ${bases.sh}\n${env}COPY main.sh /\nENTRYPOINT ["sh", "/main.sh"]`,
        'main.sh': 'echo "unbuffered: $PYTHONUNBUFFERED"',
      });
    t.is((await fixture.run(await contextOf(''))).stdout, 'unbuffered: 1\n');
    t.is((await fixture.run(await contextOf('ENV PYTHONUNBUFFERED=""\n'))).stdout, 'unbuffered: \n');
  });

  test.serial(`${name}: A stage that starts from one of its own has what that has`, async (t) => {
    await using fixture = await openFixture(harness);
    const [image = '', tag = ''] = bases.sh.split(':');
    const Dockerfile = `ARG NAME=${image}
      ARG TAG=${tag}
      ARG BASE=$NAME:\${TAG}
      FROM --platform=$BUILDPLATFORM \${BASE:-none} AS base
      WORKDIR /app
      ENV A=1
      COPY main.sh note*.txt missing*.txt ./
      ENTRYPOINT ["sh", "/app/main.sh"]
      FROM base AS final
      ENV B="$A and \${NO_SUCH:-a default}"`;
    const context = await fixture.context({
      Dockerfile,
      'main.sh': 'echo "$A, $B"; cat note.txt',
      'note.txt': 'a note',
    });
    t.is((await fixture.run(context)).stdout, '1, 1 and a default\na note');
  });

  test.serial(`${name}: What is copied has the mode that the line says`, async (t) => {
    await using fixture = await openFixture(harness);
    const Dockerfile = `FROM ${bases.sh}\nWORKDIR /app\nCOPY --link --chmod=755 . .\nENTRYPOINT ["/app/run.sh"]`;
    const context = await fixture.context({ Dockerfile, 'run.sh': '#!/bin/sh\necho ran', 'dir/file': 'x' });
    t.is((await fixture.run(context)).stdout, 'ran\n');
  });

  test.serial(
    `${name}: A runtime that is closed kills what runs, and runs no more [R31] [R32] [R4]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const started = Promise.withResolvers<void>();
      const running = fixture.run({ sh: 'echo x; sleep 1000' }, { onOutput: async () => started.resolve() });
      await started.promise;
      const [error] = await Promise.all([
        t.throwsAsync(running, { code: 'unavailable' }),
        fixture.runtime[Symbol.asyncDispose](),
      ]);
      t.truthy(error);
      t.deepEqual(await fixture.leftovers(), []);
      await fixture.runtime[Symbol.asyncDispose]();
      await t.throwsAsync(fixture.run({ sh: 'true' }), { code: 'unavailable' });
      const context = await fixture.program({ sh: 'true' });
      await t.throwsAsync(fixture.runtime.prepare(context, quiet), { code: 'unavailable' });
      await t.throwsAsync(fixture.runtime.ping(), { code: 'unavailable' });
    },
  );

  if (harness.sharesFolders) {
    test.serial(
      `${name}: A worker that starts ends what an earlier process of it left running [R21]`,
      async (t) => {
        await using fixture = await openFixture(harness);
        const mount = await fixture.mount('/data/out');
        const context = await fixture.program({
          sh: '(setsid sleep 1000 &); touch "$2/started"; sleep 1000',
        });
        const spec = await fixture.spec({ args: ['/data/out'], mounts: [mount] });
        await harness.abandon(join(fixture.folder, 'worker'), context, spec, join(mount.host, 'started'));
        t.not((await fixture.leftovers()).length, 0);
        await fixture.runtime.recover();
        await eventually('nothing is left', async () => (await fixture.leftovers()).length === 0);
      },
    );
  }

  test.serial(`${name}: A runtime that is ready says so`, async (t) => {
    await using fixture = await openFixture(harness);
    await t.notThrowsAsync(fixture.runtime.ping());
    t.is(fixture.runtime.name, name);
  });
}
