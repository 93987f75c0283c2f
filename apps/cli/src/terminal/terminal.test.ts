import test from 'ava';
import fc from 'fast-check';
import { describeProgress } from './progress.ts';
import { idShortener, layOut } from './table.ts';
import { ago, bar, humanBytes, humanSeconds, jsonText, oneLine, plain, secondsBetween } from './text.ts';

test('Sizes are told in decimal units with three digits', (t) => {
  t.deepEqual([0, 999, 1000, 12_345, 999_499, 999_500, 5_000_000, 1.5e9].map(humanBytes), [
    '0 B',
    '999 B',
    '1.00 kB',
    '12.3 kB',
    '999 kB',
    '1.00 MB',
    '5.00 MB',
    '1.50 GB',
  ]);
});

test('Spans are told in the two units that matter', (t) => {
  t.deepEqual([0.004, 0.42, 7.31, 42, 59.7, 185, 7620, 273_600].map(humanSeconds), [
    '0.00 s',
    '0.42 s',
    '7.3 s',
    '42 s',
    '1 min 00 s',
    '3 min 05 s',
    '2 h 07 min',
    '3 d 4 h',
  ]);
});

test('JSON has no character that a terminal acts upon, and is the same value', (t) => {
  const value = { text: 'a\u001b[31m\u009b31m\u202eb\u2066\u200f\u061c é 😀\u007f' };
  for (const indent of [undefined, 2]) {
    const text = jsonText(value, indent);
    t.notRegex(text, /[^\P{Cc}\n]|\p{Bidi_Control}/u);
    t.true(text.includes('é 😀'));
    t.deepEqual(JSON.parse(text), value);
  }
});

test('Moments that lie ahead are told as now', (t) => {
  const now = Date.parse('2025-11-22T12:00:00Z');
  t.is(ago('2025-11-22T12:00:30Z', now), 'now');
  t.is(ago('2025-11-22T11:57:00Z', now), '3 min ago');
});

test('Between two moments of a clock that was set back lies no time', (t) => {
  t.is(secondsBetween('2025-11-22T12:00:00Z', '2025-11-22T12:00:30Z'), 30);
  t.is(secondsBetween('2025-11-22T12:00:00Z', '2025-11-22T10:00:13Z'), 0);
  t.is(secondsBetween('2025-11-22T12:00:00Z', undefined), undefined);
});

test('A bar has its width whatever the share is', (t) => {
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.integer({ min: 1, max: 60 }), (share, width) => {
      t.is([...bar(share, width)].length, width);
    }),
  );
  t.is(bar(0.5, 4), '██  ');
});

test('Text from elsewhere cannot steer the terminal', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      t.false(
        [...plain(text)].some((char) => (char < ' ' && char !== '\n' && char !== '\t') || char === '\u009b'),
      );
      t.false(oneLine(text).includes('\n'));
    }),
  );
  t.is(plain('a\u001b[31mb\r\n'), 'a\uFFFD[31mb\n');
});

test('Shortened ids still differ and are beginnings', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.uuid(), { maxLength: 20 }), (ids) => {
      const short = idShortener(ids);
      t.is(new Set(ids.map(short)).size, ids.length);
      t.true(ids.every((id) => id.startsWith(short(id)) && short(id).length >= 8));
    }),
  );
  t.is(idShortener(['6c7a2f5e-0b1d', '6c7a2f5e-0c1d'])('6c7a2f5e-0b1d'), '6c7a2f5e-0b');
});

test('Columns stand two spaces apart and colours take no room', (t) => {
  const rows = [
    ['\u001b[32ma\u001b[39m', '1'],
    ['bbb', '22'],
  ];
  const table = layOut((_, text) => text, [{ title: 'name' }, { title: 'n', align: 'right' }], rows);
  t.is(table, 'name   n\n\u001b[32ma\u001b[39m      1\nbbb   22');
});

test('Progress tells share, bytes, rate and time left', (t) => {
  t.is(
    describeProgress({ title: 'x', total: 4_000_000 }, 1_000_000, 2),
    ' 25%  1.00 MB of 4.00 MB, 500 kB/s, 6.0 s left',
  );
  t.is(describeProgress({ title: 'x', total: 0 }, 0, 0), '100%  0 B of 0 B, 0 B/s');
});

test('The rate of a download that goes on leaves out what was there', (t) => {
  t.true(describeProgress({ title: 'x', total: 4_000, start: 2_000 }, 3_000, 1).includes('1.00 kB/s'));
});
