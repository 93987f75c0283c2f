import test from 'ava';
import { elapsedMs } from './adopt.ts';

test('A container whose daemon set its clock back has run for no time, not for less', (t) => {
  const at = Date.parse('2025-11-22T12:00:00Z');
  t.is(elapsedMs(at, at + 1500), 1500);
  t.is(elapsedMs(at, at - 7_187_000), 0);
});
