import test from 'ava';
import { selectRepresentation } from './conditions.ts';

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
