import test from 'ava';
import { PORTS, untied } from './ports.ts';
import { readTree } from './tree.ts';

test('Every numbered sentence of a port has a test, and every test names a sentence that is there', async (t) => {
  const tree = await readTree();
  for (const [prose, letter] of Object.entries(PORTS)) t.deepEqual(untied(tree, prose, letter), []);
});

test('A sentence without a test, a test without a sentence and a gap are found', (t) => {
  const files = new Map([
    ['libs/a/src/port.ts', '/** [X1] It keeps. [X3] It gives. */'],
    [
      'libs/a/src/conformance.ts',
      "behaves('it keeps what it gets [X1]', keeps);\nbehaves('it sings [X4]', sings);",
    ],
    ['libs/a/src/other.ts', "test('no test at all [X3]');"],
  ]);
  t.deepEqual(untied(files, 'libs/a/src/port.ts', 'X'), [
    'libs/a/src/port.ts numbers its sentences X1, X3',
    'no test shows [X3] of libs/a/src/port.ts',
    'libs/a/src/conformance.ts shows [X4], which libs/a/src/port.ts does not have',
  ]);
  t.deepEqual(untied(files, 'libs/a/src/other.ts', 'Y'), ['libs/a/src/other.ts has no numbered sentence']);
});
