import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { sampleSize } from '@morpheo/real-parts';
import { unpackArchive } from '@morpheo/service/archive';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import test, { type ExecutionContext } from 'ava';
import { pack } from 'tar-stream';
import { DEFAULT_LIMITS } from '../config/limits.ts';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { programArchive } from '../testing/programs.ts';
import { contextArchive, openTestWorker, reportOf } from '../testing/test-worker.ts';

/**
 * Leases are renewed by the main loop of the worker: nothing that it does may keep it from that. A lease is renewed
 * every 10 s and given up after 20 s, so that these bounds are far from what would cost an order; they are this wide
 * because the machine that runs them may be busy with other things.
 */
const MOST_MS = 3000;

function watch() {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  return delay;
}

function judge(t: ExecutionContext, delay: ReturnType<typeof watch>, what: string): void {
  delay.disable();
  const [most, p99] = [delay.max / 1e6, delay.percentile(99) / 1e6];
  t.log(`${what}: the loop stood for ${most.toFixed(0)} ms at most, p99 ${p99.toFixed(0)} ms`);
  t.true(most < MOST_MS, `${most} ms`);
}

const ENTRIES = sampleSize('ENTRIES', { small: 30_000, full: 100_000 });

test.serial(`An archive of ${ENTRIES} entries does not hold up the loop`, async (t) => {
  t.timeout(600_000);
  await using folder = await temporaryFolder();
  const tar = pack();
  const fill = async () => {
    for (let index = 0; index < ENTRIES; index += 1) {
      const room = Promise.withResolvers<void>();
      tar.entry({ name: `d${index % 100}/f${index}` }, 'x', () => room.resolve());
      await room.promise;
    }
    tar.finalize();
  };
  const delay = watch();
  const limits = { bytes: 1e9, files: 200_000, depth: 10, pathBytes: 200 };
  const { signal } = new AbortController();
  const source = Readable.from(tar).pipe(createGzip());
  await Promise.all([fill(), unpackArchive(source, join(folder.path, 'into'), limits, signal)]);
  judge(t, delay, `${ENTRIES} entries`);
});

test.serial('An order of 10,000 data sets does not hold up the loop', async (t) => {
  t.timeout(600_000);
  await using setup = await openTestWorker();
  const { storage } = setup;
  const many = Array.from({ length: 10_000 }, (_, index) => storage.put('data', `${index}`));
  const delay = watch();
  const order = setup.learn({
    workflow: storage.put('problem', contextArchive()),
    algo: storage.put('algo', contextArchive()),
    train_data: many.slice(0, 5000),
    test_data: many.slice(5000),
  });
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
  judge(t, delay, '10,000 data sets');
});

const OUTPUT_MIB = sampleSize('OUTPUT_MIB', { small: 256, full: 1024 });

test.serial(`Output of ${OUTPUT_MIB} MiB does not hold up the loop`, async (t) => {
  t.timeout(600_000);
  const openRuntime = async (folder: string) => await openProcessRuntime({ folder, log: silentLog });
  const limits = {
    wallMs: { learn: 600_000, predict: 600_000, job: 600_000 },
    run: { ...DEFAULT_LIMITS.run, outputBytes: 2e9 },
  };
  await using setup = await openTestWorker({ openRuntime, limits });
  const program = `import { writeSync } from 'node:fs';
    const lines = Buffer.from(('x'.repeat(99) + '\\n').repeat(10_000));
    for (let n = 0; n < ${Math.ceil((OUTPUT_MIB * 2 ** 20) / 1e6)}; n += 1) for (let at = 0; at < lines.length;) at += writeSync(1, lines, at);`;
  const algo = setup.storage.put('algo', programArchive(program));
  const delay = watch();
  const order = setup.predict({ model: setup.storage.put('model', programArchive('a model'), { algo }) });
  await setup.worker.settle();
  judge(t, delay, `${OUTPUT_MIB} MiB of output`);
  const report = reportOf(order);
  t.is('failure' in report && report.failure.reason, 'missing_result', 'all of it was printed');
});
