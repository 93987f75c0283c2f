import test from 'ava';
import type { Failure, Report } from './report.ts';
import { filesToRunAgain, judge } from './verdict.ts';

const failure = (file: string, title = 'it works'): Failure => ({
  ...{ folder: 'apps/cli', file, title, text: `${file}:3\nDifference:\n\n- 1\n+ 2` },
});

const reportOf = (...failures: Failure[]): Report => ({ times: [], failures, crashes: [] });

function verdictOn(report: Report, failedAgain: readonly string[] = [], broken: [string, string][] = []) {
  return judge({ report, failedAgain: new Set(failedAgain), broken: new Map(broken) });
}

test('A run without a failure is green and says nothing', (t) => {
  t.deepEqual(verdictOn(reportOf()), { isRed: false, failed: 0, unstable: [], lines: [] });
});

test('A file that failed once and passed alone is unstable: the run is green, and says so in full', (t) => {
  const report = reportOf(failure('apps/cli/a.test.ts'));
  t.deepEqual(filesToRunAgain(report), [{ folder: 'apps/cli', file: 'apps/cli/a.test.ts' }]);
  const verdict = verdictOn(report, [], [['@morpheo/cli', 'code 1']]);
  t.like(verdict, { isRed: false, failed: 0, unstable: report.failures });
  t.deepEqual(verdict.lines, [
    ...['', 'Unstable: failed once, passed alone: apps/cli/a.test.ts', '  it works', ''],
    ...['    apps/cli/a.test.ts:3', '    Difference:', '', '    - 1', '    + 2'],
  ]);
});

test('A file that failed twice makes a run red, with the first failure of each of its tests', (t) => {
  const file = 'apps/cli/a.test.ts';
  const report = reportOf(failure(file), failure(file, 'it stops'), failure('apps/cli/b.test.ts'));
  const verdict = verdictOn(report, [file]);
  t.like(verdict, { isRed: true, failed: 2 });
  t.deepEqual(
    verdict.unstable.map((one) => one.file),
    ['apps/cli/b.test.ts'],
  );
  t.deepEqual(
    verdict.lines.filter((line) => /^\S|^ {2}\S/.test(line)),
    [
      ...['What failed:', `✘ ${file}`, '  it works', `✘ ${file}`, '  it stops'],
      ...['Unstable: failed once, passed alone: apps/cli/b.test.ts', '  it works'],
      ...['Failed, by file:', `  2 in ${file}`],
    ],
  );
});

test('More than three files that fail are run no more, and make a run red', (t) => {
  const three = ['a', 'b', 'c'].map((name) => failure(name));
  t.is(filesToRunAgain(reportOf(...three, failure('c', 'another'))).length, 3);
  const four = reportOf(...three, failure('d'));
  t.deepEqual(filesToRunAgain(four), []);
  t.like(verdictOn(four), { isRed: true, failed: 4, unstable: [] });
});

test('What failed beside all tests makes a run red, whatever else was unstable', (t) => {
  const report = reportOf(failure('apps/cli/a.test.ts'));
  const verdict = verdictOn(report, [], [['@morpheo/common', 'code 7']]);
  t.like(verdict, { isRed: true, failed: 1, unstable: report.failures });
  t.is(
    verdict.lines[3],
    '✘ The tests of @morpheo/common failed, and no test tells why (exit code 7): see what it printed',
  );
  t.true(verdictOn(reportOf({ folder: 'apps/cli', title: '(internal error)', text: '' })).isRed);
});

test('An end by a signal makes a run red, and names the files that were running', (t) => {
  const crashes = [{ folder: 'libs/service', running: ['a', 'b'], lastEnded: 'c' }];
  const verdict = verdictOn({ times: [], failures: [], crashes }, [], [['@morpheo/service', 'code 139']]);
  t.like(verdict, { isRed: true, failed: 1 });
  t.deepEqual(verdict.lines, [
    ...['', 'What failed:', ''],
    '✘ The process of the tests of libs/service was gone before its end (exit code 139, SIGSEGV); these files were running:',
    ...['    a', '    b', '  The last that had ended: c'],
  ]);
});
