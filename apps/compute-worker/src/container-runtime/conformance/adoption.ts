import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import { abandoned, adopt } from './abandoned.ts';
import { eventually, openBench, type RuntimeHarness } from './bench.ts';

/** Runs that outlive their worker; only for runtimes that take them up. */
export function testAdoption(harness: RuntimeHarness, test: TestFn): void {
  const { name } = harness;
  if (harness.abandonSpeaking === undefined) return;

  test.serial(`${name}: A run outlives its worker, and the next one sees it to its end`, async (t) => {
    await using bench = await openBench(harness);
    const sh = 'echo ready; echo before > "$2/file"; sleep 4; echo late; echo after >> "$2/file"; exit 4';
    const { spec, mount } = await abandoned(harness, bench, sh);
    const ends: unknown[] = [];
    const onEnd = async (end: unknown) => {
      ends.push(end);
      t.is(await readFile(join(mount.host, 'file'), 'utf8'), 'before\nafter\n', 'its files are there');
      t.not((await bench.leftovers()).length, 0, 'nothing is removed yet');
    };
    const { result, printed } = await adopt(bench, spec, { onEnd });
    t.like(result, { ended: 'exited', exitCode: 4 });
    t.true((result?.seconds ?? 0) >= 4, 'the whole of its time counts');
    t.deepEqual(ends, [result]);
    t.regex(printed, /^\[morpheo\] .*\nready\nlate\n$/);
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: What ended while nobody looked is taken up as it ended`, async (t) => {
    await using bench = await openBench(harness);
    const { spec } = await abandoned(harness, bench, 'echo ready; sleep 1; echo wrong >&2; exit 7');
    await eventually('it ended', async () => (await bench.leftovers()).some((line) => /exited/.test(line)));
    const { result, printed } = await adopt(bench, spec);
    t.like(result, { ended: 'exited', exitCode: 7 });
    t.regex(printed, /wrong\n$/);
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: There is nothing to take up of a run that never was`, async (t) => {
    await using bench = await openBench(harness);
    const { spec } = await abandoned(harness, bench, 'echo ready; sleep 1000');
    const labels = { ...spec.labels, step: 'perf' as const };
    t.is((await adopt(bench, { ...spec, labels })).result, undefined);
    t.not((await bench.leftovers()).length, 0, 'the other step is left alone');
    await bench.runtime.disown?.(spec.labels);
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: A run of other arguments is not taken up, and nothing is left of it`, async (t) => {
    await using bench = await openBench(harness);
    const { spec } = await abandoned(harness, bench, 'echo ready; sleep 1000');
    t.is((await adopt(bench, { ...spec, args: ['/data/out', '-T'] })).result, undefined);
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: The time limit counts from when the run began`, async (t) => {
    await using bench = await openBench(harness);
    const { spec } = await abandoned(harness, bench, 'echo ready; sleep 3');
    await eventually('it ended', async () => (await bench.leftovers()).some((line) => /exited/.test(line)));
    const limits = { ...spec.limits, wallMs: 2000 };
    t.is((await adopt(bench, { ...spec, limits })).result?.ended, 'timed_out');
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: The limit of output counts what was printed before`, async (t) => {
    await using bench = await openBench(harness);
    const { spec } = await abandoned(harness, bench, 'echo ready; sleep 3; echo 0123456789; sleep 1000', {
      outputBytes: 1000,
    });
    const printed = { bytes: 990, at: Date.now() };
    const { result, printed: came } = await adopt(bench, spec, { printed });
    t.is(result?.ended, 'output_limit');
    t.regex(came, /0123456789$/, 'what is within the limit still comes');
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: The limit of disk counts what was written before`, async (t) => {
    await using bench = await openBench(harness);
    const sh =
      'head -c 3000000 /dev/urandom > "$2/a"; echo ready; sleep 3; head -c 3000000 /dev/urandom > "$2/b"; sleep 2';
    const { spec } = await abandoned(harness, bench, sh, { diskBytes: 5_000_000 });
    t.is((await adopt(bench, spec)).result?.ended, 'disk_full');
    t.deepEqual(await bench.leftovers(), []);
  });

  test.serial(`${name}: An abort kills a run that was taken up`, async (t) => {
    await using bench = await openBench(harness);
    const { spec } = await abandoned(harness, bench, 'echo ready; sleep 1000');
    const stop = new AbortController();
    const reason = new Error('It was cancelled');
    const onOutput = async () => stop.abort(reason);
    t.is(await t.throwsAsync(adopt(bench, spec, { signal: stop.signal, onOutput })), reason);
    t.deepEqual(await bench.leftovers(), []);
  });
}
