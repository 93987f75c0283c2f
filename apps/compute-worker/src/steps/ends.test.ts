import { ENDS, faultOf } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import type { RunResult } from '../runtime/index.ts';
import { endOfStep } from './run-step.ts';

const LIMITS = { wallMs: 60_000, outputBytes: 1e6, diskBytes: 5e6, diskFiles: 10, memoryBytes: 2e9 };

/** Runs as they end: any end, any exit code, with a reason for not having started or without. */
const aResult: fc.Arbitrary<RunResult> = fc.record(
  {
    ended: fc.constantFrom('exited', 'timed_out', 'out_of_memory', 'output_limit', 'disk_full'),
    exitCode: fc.nat({ max: 255 }),
    seconds: fc.nat(),
    notStarted: fc.constant('The file has no interpreter.'),
    peakMemoryBytes: fc.nat(),
  },
  { requiredKeys: ['ended', 'exitCode', 'seconds'] },
);

test('Whatever ends a program, the reason is that of the limit that it passed, or its exit code', (t) => {
  fc.assert(
    fc.property(aResult, (result) => {
      const found = endOfStep('train', result, LIMITS);
      if (result.ended === 'exited' && result.exitCode === 0) return t.is(found, undefined);
      if (found === undefined) return t.fail('It has no end.');
      const { reason } = ENDS[found.end];
      t.is(reason, result.ended === 'exited' ? 'exit_code' : result.ended);
      t.is(faultOf(found.end), 'order');
      if (found.limit !== undefined) t.true(found.message.includes(found.limit));
    }),
  );
});

test('A full /dev/shm, a crash, a program that cannot start and one that fails are told apart', (t) => {
  const end = (exitCode: number, more: Partial<RunResult> = {}) =>
    endOfStep('train', { ended: 'exited', exitCode, seconds: 1, ...more }, LIMITS)?.end;
  t.is(end(135), 'shared_memory_full');
  t.is(end(139), 'program_crashed');
  t.is(end(127, { notStarted: 'The file is not in the image.' }), 'program_not_started');
  t.is(end(127), 'program_failed');
  t.is(end(1), 'program_failed');
});
