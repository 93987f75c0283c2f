import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { LONGEST, longestFirst } from './order.ts';
import { ROOT } from './report.ts';

test('The files that take longest run first, and the others in their order', (t) => {
  const [first = '', second = ''] = LONGEST.map((file) => join(ROOT, file));
  t.deepEqual(['/b', second, '/a', first].toSorted(longestFirst), [first, second, '/b', '/a']);
});

test('The files that take longest are there', (t) => {
  t.deepEqual(
    LONGEST.filter((file) => !existsSync(join(ROOT, file))),
    [],
  );
});
