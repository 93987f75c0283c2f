import test from 'ava';
import fc from 'fast-check';
import { LogTail } from './log-tail.ts';

test('The tail of a log is its last 40 lines', (t) => {
  const tail = new LogTail();
  for (let line = 1; line <= 100; line += 1) tail.add('stdout', `line ${line}\n`);
  t.deepEqual(
    tail.lines(),
    Array.from({ length: 40 }, (_, at) => `line ${at + 61}`),
  );
});

test('A line that has not ended stands in the tail', (t) => {
  const tail = new LogTail();
  tail.add('stderr', 'Error: no such');
  tail.add('stderr', ' file');
  t.deepEqual(tail.lines(), ['Error: no such file']);
});

test('Lines of two streams are not mixed with one another', (t) => {
  const tail = new LogTail();
  tail.add('stdout', 'one ');
  tail.add('stderr', 'two\r\n');
  tail.add('stdout', 'three\n');
  t.deepEqual(tail.lines(), ['two', 'one three']);
});

test('However text is cut into pieces, the tail is the same and bounded', (t) => {
  const piece = fc.string({ unit: fc.constantFrom('a', '\n', '€'), maxLength: 3000 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const tail = new LogTail();
      for (const text of pieces) tail.add('stdout', text);
      const lines = pieces.join('').split('\n');
      if (lines.at(-1) === '') lines.pop();
      const expected = lines.slice(-40);
      t.deepEqual(
        tail.lines().map((line) => line.slice(0, 1999)),
        expected.map((line) => line.slice(0, 1999)),
      );
      t.true(tail.lines().every((line) => line.length <= 2000));
    }),
    { numRuns: 50 },
  );
});
