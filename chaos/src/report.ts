import type { ChaosResult } from './chaos.ts';

/** The account of a run as a table for people. */
export function tableOf(result: ChaosResult): string {
  const rows: [string, string][] = [
    ...Object.entries(result.faults)
      .toSorted(([, a], [, b]) => b - a)
      .map(([kind, times]): [string, string] => [kind, String(times)]),
    ...result.leftOut.map((what): [string, string] => ['LEFT OUT', what]),
    [
      'attempts',
      Object.entries(result.attempts)
        .map(([outcome, times]) => `${times} ${outcome}`)
        .join(', '),
    ],
    ['orders of a lost worker back in the queue', `after ${result.takenBackSeconds.toFixed(1)} s at most`],
    ['and started again', `after ${result.startedAgainSeconds.toFixed(1)} s at most`],
    ['jobs compared byte for byte', String(result.jobs.compared)],
    ['jobs that went on from a checkpoint', String(result.jobs.resumed)],
    ['stale calls refused', String(result.staleCalls)],
    ['all at rest after the last fault', `${result.recoverySeconds.toFixed(1)} s`],
    ['accepted within (99 of 100)', `${result.acceptP99Ms.toFixed(0)} ms`],
    ['took', `${result.minutes} min`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  const failures = result.failures.slice(0, 10).map((what) => `FAILED: ${what}`);
  return [...lines, ...failures, ...result.broken.slice(0, 50).map((what) => `BROKEN: ${what}`)].join('\n');
}

/** The account in one line, to be published. */
export function lineOf({ seed, orders, faults, broken, failures }: ChaosResult): string {
  const total = Object.values(faults).reduce((sum, times) => sum + times, 0);
  const verdict = broken.length === 0 ? '0 lost, 0 ended twice' : `${broken.length} PROMISES BROKEN`;
  const blamed = failures.length === 0 ? '' : `, ${failures.length} FAILED THAT SHOULD NOT HAVE`;
  return `${orders} orders, ${total} faults: ${verdict}${blamed} (SEED=${seed})`;
}
