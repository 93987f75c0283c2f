import test from 'ava';
import fc from 'fast-check';
import { parseByteRange, selectRepresentation } from './conditions.ts';

const blob = { etag: '"abc"', size: 10 };
const get = (conditions: Parameters<typeof selectRepresentation>[1]) =>
  selectRepresentation('GET', conditions, blob);

test('without conditions everything is sent', (t) => {
  t.deepEqual(get({}), { status: 200 });
});

test('what the caller has is not sent again', (t) => {
  for (const tags of ['"abc"', 'W/"abc"', '"x", "abc"', '*'])
    t.deepEqual(get({ 'if-none-match': tags }), { status: 304 });
  t.deepEqual(get({ 'if-none-match': '"other"' }), { status: 200 });
});

test('a blob that is not the expected one is refused', (t) => {
  for (const tags of ['"other"', 'W/"abc"', '']) t.deepEqual(get({ 'if-match': tags }), { status: 412 });
  for (const tags of ['"abc"', '*', '"x","abc"']) t.deepEqual(get({ 'if-match': tags }), { status: 200 });
});

test('the expected blob comes before what the caller has', (t) => {
  t.deepEqual(get({ 'if-match': '"other"', 'if-none-match': '"abc"' }), { status: 412 });
  t.deepEqual(get({ 'if-match': '"abc"', 'if-none-match': '"abc"' }), { status: 304 });
});

test('a range is sent while the blob is still the same', (t) => {
  const range = 'bytes=2-3';
  const part = { status: 206, range: { start: 2, end: 3 } };
  t.deepEqual(get({ range }), part);
  t.deepEqual(get({ range, 'if-range': '"abc"' }), part);
  for (const other of ['"other"', 'W/"abc"', 'Wed, 21 Oct 2015 07:28:00 GMT'])
    t.deepEqual(get({ range, 'if-range': other }), { status: 200 });
});

test('a range outside is refused, but for a HEAD, which has none', (t) => {
  t.deepEqual(get({ range: 'bytes=10-' }), { status: 416 });
  t.deepEqual(selectRepresentation('HEAD', { range: 'bytes=10-' }, blob), { status: 200 });
});

test('ranges inside, at the end and from the end are found', (t) => {
  t.deepEqual(parseByteRange('bytes=0-0', 10), { start: 0, end: 0 });
  t.deepEqual(parseByteRange('bytes=2-5', 10), { start: 2, end: 5 });
  t.deepEqual(parseByteRange('bytes=8-', 10), { start: 8, end: 9 });
  t.deepEqual(parseByteRange('bytes=8-999999999999999999999', 10), { start: 8, end: 9 });
  t.deepEqual(parseByteRange('Bytes= -3 ', 10), { start: 7, end: 9 });
  t.deepEqual(parseByteRange('bytes=-99', 10), { start: 0, end: 9 });
});

test('a range outside cannot be satisfied', (t) => {
  for (const field of ['bytes=10-', 'bytes=10-20', 'bytes=-0'])
    t.is(parseByteRange(field, 10), 'unsatisfiable');
  for (const field of ['bytes=0-', 'bytes=-1']) t.is(parseByteRange(field, 0), 'unsatisfiable');
});

test('what is malformed or more than one range asks for everything', (t) => {
  for (const field of [
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=a-b',
    'bytes=5-2',
    'bytes=--1',
    'bytes=1-2-3',
    'lines=1-2',
    'bytes=0-1,3-4',
    'bytes=0-1,90-',
  ]) {
    t.is(parseByteRange(field, 10), null, field);
  }
});

test('every range that is found lies inside and is what was asked for', (t) => {
  const position = fc.nat(50);
  fc.assert(
    fc.property(fc.nat(40), position, position, (size, first, last) => {
      const range = parseByteRange(`bytes=${first}-${last}`, size);
      if (first > last) t.is(range, null);
      else if (first >= size) t.is(range, 'unsatisfiable');
      else t.deepEqual(range, { start: first, end: Math.min(last, size - 1) });
    }),
  );
  fc.assert(
    fc.property(fc.nat(40), position, (size, suffix) => {
      const range = parseByteRange(`bytes=-${suffix}`, size);
      const length = Math.min(size, suffix);
      t.deepEqual(range, length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 });
    }),
  );
});
