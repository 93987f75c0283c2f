import test from 'ava';
import { addLine, emptySummary, tables } from './summary.ts';

test('The end of a run counts what all packages have printed', (t) => {
  const summary = emptySummary();
  const lines = [
    '@morpheo/common:   \u001b[32m✔\u001b[39m a test that says 7 tests skipped (1.2s)',
    '@morpheo/common:   77 tests passed',
    '@morpheo/cli: SKIPPED the tests that need docker: the Docker daemon does not answer',
    '@morpheo/cli:   1 test failed',
    '@morpheo/cli:   4 tests skipped',
    '@morpheo/cli:   ✘ [fail]: another one',
    '@morpheo/cli: npm error code 139',
    '  ✔ one outside the workspaces',
    '- @morpheo/cli:test',
  ];
  const told = lines.filter((line, index) => addLine(summary, line, index * 1000));
  t.deepEqual(told, ['- @morpheo/cli:test']);
  t.deepEqual(summary.counts, { passed: 2, skipped: 4 });
  t.deepEqual([...summary.broken], [['@morpheo/cli', 'code 139']]);
  const times = [
    { file: 'a.test.ts', seconds: 1, cpuSeconds: 0.5 },
    { file: 'b.test.ts', seconds: 20, cpuSeconds: 3 },
  ];
  t.deepEqual(tables(summary, times), [
    ...['', 'The slowest files, in seconds (on a processor):'],
    ...['   20.0 (3.0)  b.test.ts', '    1.0 (0.5)  a.test.ts'],
    ...['', 'Packages, in seconds:', '    1.0  @morpheo/common', '    4.0  @morpheo/cli'],
    ...['', 'SKIPPED the tests that need docker: the Docker daemon does not answer'],
  ]);
});
