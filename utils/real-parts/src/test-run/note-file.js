// ava loads this before each test file. It adds to the report that MORPHEO_TEST_REPORT names (see report.ts) when the
// file starts, and at its end its seconds by the clock and on a processor.
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const report = process.env.MORPHEO_TEST_REPORT;
if (report !== undefined) {
  // The clock of a thread begins with its process, whose files come one after another.
  const started = performance.now();
  const root = fileURLToPath(new URL('../../../../', import.meta.url));
  const file = relative(root, fileURLToPath(test.meta.file));
  const note = (entry) => appendFileSync(report, `${JSON.stringify({ pid: process.pid, file, ...entry })}\n`);
  note({ kind: 'file started' });
  process.on('exit', () => {
    const { user, system } = process.threadCpuUsage();
    note({
      kind: 'file ended',
      seconds: (performance.now() - started) / 1000,
      cpuSeconds: (user + system) / 1e6,
    });
  });
}
