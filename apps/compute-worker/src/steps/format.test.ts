import test from 'ava';
import { count, formatBytes, formatDuration } from './format.ts';

test('Bytes are shown in the unit that fits', (t) => {
  const told = [0, 999, 1000, 4_500_000, 123_456_789, 2e15].map(formatBytes);
  t.deepEqual(told, ['0 B', '999 B', '1.0 kB', '4.5 MB', '123 MB', '2000 TB']);
});

test('Durations are shown in the unit that fits', (t) => {
  const told = [40, 1500, 90_000, 1_200_000, 86_400_000].map(formatDuration);
  t.deepEqual(told, ['40 ms', '1.5 s', '90 s', '20 min', '24 h']);
});

test('One thing has no plural', (t) => {
  t.deepEqual([count(1, 'file'), count(3, 'file')], ['1 file', '3 files']);
});
