import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import { openFixture, type RuntimeHarness } from './runtime-fixture.ts';

/** Prints that it is there, then starts children that leave its session and never end, and never ends itself. */
const STUBBORN = `
  import { spawn } from 'node:child_process';
  process.on('SIGTERM', () => undefined);
  process.on('SIGHUP', () => undefined);
  const child = "process.on('SIGTERM', () => undefined); setInterval(() => undefined, 1000)";
  spawn(process.execPath, ['-e', child], { stdio: 'inherit' });
  spawn(process.execPath, ['-e', child], { detached: true, stdio: 'inherit' }).unref();
  const twice = "require('node:child_process').spawn(process.execPath, ['-e', " + JSON.stringify(child) + "]," +
    "{ detached: true, stdio: 'ignore' }).unref()";
  spawn(process.execPath, ['-e', twice], { detached: true, stdio: 'ignore' }).on('exit', () => console.log('ready'));
  setInterval(() => undefined, 1000);
`;

/** What happens to a program that takes more than it may, or does not want to end. */
export function testLimits(harness: RuntimeHarness, test: TestFn): void {
  const { name } = harness;

  test.serial(
    `${name}: A program that never ends is killed at the limit, its children with it [R19] [R20]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const program = await fixture.program({ node: STUBBORN });
      // On a busy machine the children may not be there yet at the first limit.
      for (const wallMs of [3000, 15_000, 75_000]) {
        const result = await fixture.run(program, { limits: { wallMs } });
        t.is(result.ended, 'timed_out');
        t.is(result.exitCode, 137);
        t.true(result.seconds * 1000 >= wallMs);
        if (result.stdout === 'ready\n') break;
        t.true(wallMs < 75_000, 'it is never ready');
      }
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(
    `${name}: An abort kills the run with all its children and rejects with its reason [R18]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const controller = new AbortController();
      const reason = new Error('The order was cancelled');
      const onOutput = async () => controller.abort(reason);
      const running = fixture.run({ node: STUBBORN }, { signal: controller.signal, onOutput });
      t.is(await t.throwsAsync(running), reason);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: An abort before the start starts nothing [R18]`, async (t) => {
    await using fixture = await openFixture(harness);
    const reason = new Error('The order was cancelled');
    const image = await fixture.runtime.prepare(await fixture.program({ sh: 'touch "$2/ran"' }), {
      signal: new AbortController().signal,
      onOutput: async () => undefined,
    });
    const spec = { ...(await fixture.spec()), image };
    const options = {
      signal: AbortSignal.abort(reason),
      onOutput: async () => t.fail('nothing may be printed'),
    };
    t.is(await t.throwsAsync(fixture.runtime.run(spec, options)), reason);
  });

  test.serial(`${name}: What a program leaves running is ended with it [R12]`, async (t) => {
    await using fixture = await openFixture(harness);
    const sh = 'sleep 1000 & (setsid sleep 1000 &) ; nohup sleep 1000 >/dev/null 2>&1 & echo done';
    const result = await fixture.run({ sh });
    t.is(result.stdout, 'done\n');
    t.is(result.ended, 'exited');
    t.is(result.exitCode, 0);
    t.true(result.seconds < 500, 'nobody waited for what sleeps');
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(
    `${name}: A program that prints without end is killed at the limit, to the byte [R19] [R20]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const result = await fixture.run({ sh: 'yes >&2 & yes' }, { limits: { outputBytes: 1_000_001 } });
      t.is(result.ended, 'output_limit');
      t.is(result.stdout.length + result.stderr.length, 1_000_001);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: A program that prints exactly what it may is left alone [R20]`, async (t) => {
    await using fixture = await openFixture(harness);
    const result = await fixture.run(
      { node: `process.stdout.write('x'.repeat(1000))` },
      { limits: { outputBytes: 1000 } },
    );
    t.is(result.ended, 'exited');
    t.is(result.stdout.length, 1000);
  });

  test.serial(`${name}: A program that fills the disk is killed [R19]`, async (t) => {
    await using fixture = await openFixture(harness);
    const mount = await fixture.mount('/data/model');
    const limits = { diskBytes: 10_000_000 };
    const sh = 'while true; do head -c 1000000 /dev/zero >> "$2/model"; sleep 0.01; done';
    const result = await fixture.run({ sh }, { args: ['/data/model'], mounts: [mount], limits });
    t.is(result.ended, 'disk_full');
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: Too many files are as good as too many bytes [R19]`, async (t) => {
    await using fixture = await openFixture(harness);
    const mount = await fixture.mount('/data/model');
    const sh = 'cd "$2"; for i in 1 2 3 4 5 6 7 8 9 10; do mkdir $i; done';
    const run = { args: ['/data/model'], mounts: [mount] };
    t.is((await fixture.run({ sh }, { ...run, limits: { diskFiles: 40 } })).ended, 'exited');
    const more = { sh: sh.replaceAll('mkdir $i', 'mkdir x$i y$i z$i') };
    t.is((await fixture.run(more, { ...run, limits: { diskFiles: 20 } })).ended, 'disk_full');
  });

  if (harness.sharesFolders) {
    test.serial(`${name}: What stood in a mount before does not count, nor do holes in files`, async (t) => {
      await using fixture = await openFixture(harness);
      const mount = await fixture.mount('/data/train');
      await writeFile(join(mount.host, 'input'), Buffer.alloc(5_000_000, 1));
      await writeFile(join(mount.host, 'sparse'), '');
      await truncate(join(mount.host, 'sparse'), 2 ** 34);
      const sh = 'head -c 1000 /dev/zero > "$2/pred"';
      const limits = { diskBytes: 1_000_000 };
      t.is((await fixture.run({ sh }, { args: ['/data/train'], mounts: [mount], limits })).ended, 'exited');
    });
  }

  test.serial(`${name}: A program that takes too much memory is killed [R19]`, async (t) => {
    await using fixture = await openFixture(harness);
    const node = `const all = []; setInterval(() => all.push(Buffer.alloc(20_000_000, 1)), 20)`;
    const result = await fixture.run({ node }, { limits: { memoryBytes: 300_000_000 } });
    t.is(result.ended, 'out_of_memory');
    t.deepEqual(await fixture.leftovers(), []);
  });
}
