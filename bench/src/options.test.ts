import test from 'ava';
import { readOptions } from './options.ts';

test('The size of a blob is a whole number of MiB', (t) => {
  t.is(readOptions(['--mib', '64']).mib, 64);
  t.is(readOptions([]).mib, undefined);
  for (const wrong of ['0', '-1', '1.5', 'much', '']) {
    t.throws(() => readOptions([`--mib=${wrong}`]), { message: /whole number of MiB/ });
  }
});
