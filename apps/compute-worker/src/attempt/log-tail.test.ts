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
        tail.lines().map((line) => line.slice(-1999)),
        expected.map((line) => line.slice(-1999)),
      );
      t.true(tail.lines().every((line) => line.length <= 2000));
    }),
    { numRuns: 50 },
  );
});

test('Of a line with carriage returns the last piece counts, wherever the program ends', (t) => {
  const tail = new LogTail();
  for (let i = 0; i < 1200; i += 1) tail.add('stderr', `\r${i}%|${'#'.repeat(i / 200)}| ${i}/2000`);
  t.deepEqual(tail.lines(), ['1199%|#####| 1199/2000']);
  tail.add('stderr', '\nERROR: the column "target" is missing\n');
  t.deepEqual(tail.lines(), ['1199%|#####| 1199/2000', 'ERROR: the column "target" is missing']);
  const other = new LogTail();
  for (const text of ['1 %\r', '2 %\r', '3 %\r', '\n', 'epoch\r\n', '\r\r']) other.add('stdout', text);
  t.deepEqual(other.lines(), ['3 %', 'epoch']);
});

test('A long line is cut at its front, and what is for terminals is left out', (t) => {
  const tail = new LogTail();
  tail.add('stdout', `${'x'.repeat(3000)} the error\n`);
  tail.add('stderr', '\u001b[31mred\u001b[0m \u001b[2K\u001b]0;title\u0007done');
  const [long = '', colour] = tail.lines();
  t.is(long.length, 2000);
  t.true(long.startsWith('…xxx') && long.endsWith('x the error'));
  t.is(colour, 'red done');
});
