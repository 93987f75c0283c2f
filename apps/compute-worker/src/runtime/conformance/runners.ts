import { existsSync } from 'node:fs';
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import type { TestFn } from 'ava';
import { eventually, openFixture, type RuntimeHarness } from './runtime-fixture.ts';

const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };

/** What images declare of runners, and what a run has that is one. */
export function testRunners(harness: RuntimeHarness, test: TestFn): void {
  const { name, bases } = harness;
  const contextOf = (labels: string) => ({
    Dockerfile: `FROM ${bases.sh} AS base\n${labels}\nFROM base\nENTRYPOINT ["true"]`,
  });

  test.serial(
    `${name}: An image says by its labels that it is a runner, and of how many calls [R51]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const declared = async (labels: string) => {
        const context = await fixture.context(contextOf(labels));
        const first = (await fixture.runtime.prepare(context, quiet)).runner;
        t.deepEqual(
          (await fixture.runtime.prepare(context, quiet)).runner,
          first,
          'the same when it is there',
        );
        return first;
      };
      t.is(await declared('LABEL other=1'), undefined);
      t.deepEqual(await declared('LABEL morpheo.runner="1"'), { maxBatch: 1 });
      t.deepEqual(await declared('ARG N=8\nLABEL "morpheo.runner"=1 morpheo.max_batch=$N'), { maxBatch: 8 });
    },
  );

  test.serial(
    `${name}: Labels of a runner that nobody knows fail to build, and say what is allowed [R52]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const wrong: Record<string, RegExp> = {
        'LABEL morpheo.runner=2': /line 2: The label morpheo\.runner is 2: only "1" is known/,
        'LABEL morpheo.runner=': /morpheo\.runner is empty/,
        'LABEL morpheo.runner=1\nLABEL morpheo.max_batch=65': /line 3: .*max_batch is 65: .* from 1 to 64/,
        'LABEL morpheo.runner=1 morpheo.max_batch=0x8': /max_batch is 0x8/,
        'LABEL morpheo.max_batch=4': /max_batch needs morpheo\.runner="1"/,
      };
      for (const [labels, message] of Object.entries(wrong)) {
        const context = await fixture.context(contextOf(labels));
        const error = await t.throwsAsync(fixture.runtime.prepare(context, quiet), {
          instanceOf: OrderFailure,
        });
        t.is(error.failure.reason, 'build_failed');
        t.regex(error.message, message);
      }
    },
  );

  if (!harness.sharesFolders) {
    test.serial(`${name}: Where folders are not shared there are no runners [R57]`, async (t) => {
      await using fixture = await openFixture(harness);
      t.false(await fixture.runtime.hasRunners?.());
      const running = fixture.run({ sh: 'echo ran' }, {}, await fixture.runner());
      await t.throwsAsync(running, { code: 'internal', message: /No runner can run here/ });
      t.deepEqual(await fixture.leftovers(), []);
    });
    return;
  }

  test.serial(
    `${name}: What a runner writes lies in folders of its caller, who can take it away [R53] [R57]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      t.true(await fixture.runtime.hasRunners?.());
      const calls = await fixture.mount('/calls');
      const memory = harness.placesSharedMemory ? '/dev/shm' : '$TMPDIR';
      const sh = `cd "$2"; echo a > "$HOME/a"; echo b > "$TMPDIR/b"; echo c > "${memory}/c"; touch written
      while [ ! -e wiped ]; do sleep 0.02; done; ls -A "$HOME" "$TMPDIR" "${memory}" | grep '^[abc]$'; echo end`;
      const runner = await fixture.runner({ args: ['/calls'], mounts: [calls] });
      const { home, tmp, sharedMemory } = runner.writable;
      const running = fixture.run({ sh }, {}, runner);
      await eventually('it has written', () => existsSync(join(calls.host, 'written')));
      t.is(await readFile(join(home, 'a'), 'utf8'), 'a\n');
      t.is(await readFile(join(tmp, 'b'), 'utf8'), 'b\n');
      t.is(await readFile(join(harness.placesSharedMemory ? sharedMemory : tmp, 'c'), 'utf8'), 'c\n');
      for (const folder of [home, tmp, sharedMemory])
        for (const file of await readdir(folder)) await rm(join(folder, file));
      await writeFile(join(calls.host, 'wiped'), '');
      const { stdout, stderr } = await running;
      t.is(stdout, 'end\n', stderr);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: A runner that fills its temporary folder is killed [R53]`, async (t) => {
    await using fixture = await openFixture(harness);
    const sh = 'while true; do head -c 1000000 /dev/zero >> "$TMPDIR/x"; sleep 0.01; done';
    const runner = await fixture.runner({ limits: { diskBytes: 10_000_000 } });
    t.is((await fixture.run({ sh }, {}, runner)).ended, 'disk_full');
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: A runner reaches a socket of the worker, however deep that lies [R55]`, async (t) => {
    await using fixture = await openFixture(harness);
    const socket = await fixture.mount('/run/morpheo', true);
    const path = join(socket.host, 'runner.sock');
    const server = createServer((connection) => void connection.end('from the worker'));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await chmod(path, 0o666);
    try {
      const node = `require('node:net').connect(process.env.MORPHEO_RUNNER).pipe(process.stdout)`;
      const context = await fixture.context({
        Dockerfile: `FROM ${bases.node}\nCOPY . /app\nENTRYPOINT ["node", "/app/main.cjs"]\n`,
        'main.cjs': node,
      });
      const environment = { MORPHEO_RUNNER: '/run/morpheo/runner.sock' };
      const runner = await fixture.runner({ mounts: [socket], environment });
      const scratch = join(runner.scratch, 'deep'.repeat(20));
      const { stdout, stderr } = await fixture.run(context, {}, { ...runner, scratch });
      t.is(stdout, 'from the worker', stderr);
    } finally {
      server.close();
    }
  });

  test.serial(
    `${name}: A program of the caller stands before that of a runner, and becomes it [R58]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const tools = await fixture.mount('/run/morpheo', true);
      const first = '#!/bin/sh\necho "before: $1"\nshift\nexec "$@"\n';
      await writeFile(join(tools.host, 'first'), first);
      await chmod(join(tools.host, 'first'), 0o755);
      const before = ['/run/morpheo/first', '/run/morpheo'];
      const runner = { ...(await fixture.runner({ args: ['/run/morpheo'], mounts: [tools] })), before };
      const { stdout, exitCode } = await fixture.run(
        { sh: '[ -e "$2/first" ] && echo "$1"; exit 3' },
        {},
        runner,
      );
      t.regex(stdout, /^before: .+\nfirst\n$/);
      t.is(exitCode, 3);
    },
  );

  test.serial(
    `${name}: A worker that starts ends the runners of an earlier process of it [R56]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const mount = await fixture.mount('/calls');
      const context = await fixture.program({ sh: '(setsid sleep 1000 &); touch "$2/started"; sleep 1000' });
      const runner = await fixture.runner({ args: ['/calls'], mounts: [mount] });
      await harness.abandon(join(fixture.folder, 'worker'), context, runner, join(mount.host, 'started'));
      t.not((await fixture.leftovers()).length, 0);
      const kept = { order: runner.labels.runner, attempt: 1 };
      await fixture.runtime.recover([kept]);
      await eventually('nothing is left', async () => (await fixture.leftovers()).length === 0);
    },
  );

  if (!harness.enforcesReadOnly) return;

  test.serial(
    `${name}: A runner can write nowhere but where its caller can take it away [R54]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const calls = await fixture.mount('/calls');
      const model = await fixture.mount('/data/model', true);
      const Dockerfile = `FROM ${bases.sh}\nVOLUME /cache /home\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n`;
      // Every place where something is mounted, and what is usually open to all.
      const sh = `for at in $(cut -d ' ' -f 2 /proc/mounts) /var/tmp /run /app /home /cache /dev/mqueue; do
        [ -d "$at" ] && (: > "$at/planted") 2>/dev/null && echo "$at"; done | sort -u`;
      const context = await fixture.context({ Dockerfile, 'main.sh': sh });
      const { stdout, stderr } = await fixture.run(
        context,
        {},
        await fixture.runner({ mounts: [calls, model] }),
      );
      t.deepEqual(stdout.trim().split('\n'), ['/calls', '/dev/shm', '/home/runner', '/tmp'], stderr);
    },
  );
}
