import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '@morpheo/common';
import type { TestFn } from 'ava';
import type { AdoptOptions, RunLimits, RunSpec } from '../index.ts';
import { eventually, openFixture, type RuntimeFixture, type RuntimeHarness } from './runtime-fixture.ts';

const NOTHING_PRINTED = { bytes: 0, at: 0 };

/** Runs that outlive their worker; only for runtimes that take them up. */
export function testAdoption(harness: RuntimeHarness, test: TestFn): void {
  const { name } = harness;
  if (harness.abandonSpeaking === undefined) return;

  test.serial(
    `${name}: A run outlives its worker, and the next one sees it to its end [R22] [R23] [R26]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const sh = 'echo ready; echo before > "$2/file"; sleep 4; echo late; echo after >> "$2/file"; exit 4';
      const { spec, mount } = await abandoned(harness, fixture, sh);
      const ends: unknown[] = [];
      const onEnd = async (end: unknown) => {
        ends.push(end);
        t.is(await readFile(join(mount.host, 'file'), 'utf8'), 'before\nafter\n', 'its files are there');
        t.not((await fixture.leftovers()).length, 0, 'nothing is removed yet');
      };
      await sleep(1500);
      const { result, printed } = await adopt(fixture, spec, { onEnd });
      t.like(result, { ended: 'exited', exitCode: 4 });
      // A busy daemon notes the start of a program late; from when it was taken up, it is less in any case.
      const { seconds = 0 } = result ?? {};
      t.true(seconds >= 3, `the whole of its time counts: ${seconds} s`);
      t.deepEqual(ends, [result]);
      t.regex(printed, /^\[morpheo\] .*\n(?:ready\n)+(?:late\n)+$/);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: What ended while nobody looked is taken up as it ended [R24]`, async (t) => {
    await using fixture = await openFixture(harness);
    const { spec } = await abandoned(harness, fixture, 'echo ready; sleep 1; echo wrong >&2; exit 7');
    await eventually('it ended', async () => (await fixture.leftovers()).some((line) => /exited/.test(line)));
    const { result, printed } = await adopt(fixture, spec);
    t.like(result, { ended: 'exited', exitCode: 7 });
    t.regex(printed, /wrong\n$/);
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: There is nothing to take up of a run that never was [R27] [R28]`, async (t) => {
    await using fixture = await openFixture(harness);
    const { spec } = await abandoned(harness, fixture, 'echo ready; sleep 1000');
    const labels = { ...spec.labels, step: 'perf' as const };
    t.is((await adopt(fixture, { ...spec, labels })).result, undefined);
    t.not((await fixture.leftovers()).length, 0, 'the other step is left alone');
    await fixture.runtime.disown?.(spec.labels);
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(
    `${name}: A run of other arguments is not taken up, and nothing is left of it [R27]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const { spec } = await abandoned(harness, fixture, 'echo ready; sleep 1000');
      t.is((await adopt(fixture, { ...spec, args: ['/data/out', '-T'] })).result, undefined);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: The time limit counts from when the run began [R25]`, async (t) => {
    await using fixture = await openFixture(harness);
    const { spec } = await abandoned(harness, fixture, 'echo ready; sleep 5');
    await eventually('it ended', async () => (await fixture.leftovers()).some((line) => /exited/.test(line)));
    const limits = { ...spec.limits, wallMs: 2000 };
    t.is((await adopt(fixture, { ...spec, limits })).result?.ended, 'timed_out');
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: The limit of output counts what was printed before [R25]`, async (t) => {
    await using fixture = await openFixture(harness);
    const { spec } = await abandoned(
      harness,
      fixture,
      'echo ready; while :; do sleep 3; echo 0123456789; done',
      {
        outputBytes: 1000,
      },
    );
    const printed = { bytes: 990, at: Date.now() };
    const { result, printed: came } = await adopt(fixture, spec, { printed });
    t.is(result?.ended, 'output_limit');
    t.regex(came, /0123456789$/, 'what is within the limit still comes');
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: The limit of disk counts what was written before [R25]`, async (t) => {
    await using fixture = await openFixture(harness);
    const sh =
      'head -c 3000000 /dev/urandom > "$2/a"; echo ready; sleep 5; head -c 3000000 /dev/urandom > "$2/b"; sleep 1000';
    const { spec } = await abandoned(harness, fixture, sh, { diskBytes: 5_000_000 });
    t.is((await adopt(fixture, spec)).result?.ended, 'disk_full');
    t.deepEqual(await fixture.leftovers(), []);
  });

  test.serial(`${name}: An abort kills a run that was taken up [R18]`, async (t) => {
    await using fixture = await openFixture(harness);
    const { spec } = await abandoned(harness, fixture, 'echo ready; sleep 1000');
    const stop = new AbortController();
    const reason = new Error('It was cancelled');
    const onOutput = async () => stop.abort(reason);
    t.is(await t.throwsAsync(adopt(fixture, spec, { signal: stop.signal, onOutput })), reason);
    t.deepEqual(await fixture.leftovers(), []);
  });
}

/** A run whose worker was killed once it had printed `ready`; `sh` prints that, and has a mount at `$2`. */
export async function abandoned(
  { abandonSpeaking }: RuntimeHarness,
  fixture: RuntimeFixture,
  sh: string,
  limits: Partial<RunLimits> = {},
) {
  const context = await fixture.program({ sh });
  const mount = await fixture.mount('/data/out');
  const spec = await fixture.spec({ args: ['/data/out'], mounts: [mount], limits });
  await abandonSpeaking?.(join(fixture.folder, 'worker'), context, spec, 'ready');
  const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };
  const image = await fixture.runtime.prepare(context, quiet);
  const scratch = join(spec.scratch, 'again');
  await mkdir(scratch);
  await fixture.runtime.recover([spec.labels]);
  return { spec: { ...spec, image, scratch }, mount };
}

/** Takes a run up: how it ended, or undefined where it cannot be taken up, and all that it printed. */
export async function adopt({ runtime }: RuntimeFixture, spec: RunSpec, options: Partial<AdoptOptions> = {}) {
  let printed = '';
  const onOutput = async ({ bytes }: { bytes: Uint8Array }) => {
    printed += Buffer.from(bytes).toString('latin1');
  };
  const { signal } = new AbortController();
  const result = await runtime.adopt?.(spec, { signal, onOutput, printed: NOTHING_PRINTED, ...options });
  return { result, printed };
}
