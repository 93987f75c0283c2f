import test from 'ava';
import fc from 'fast-check';
import { canonicalJson } from './canonical.ts';
import { drawn, randomOf } from './random.ts';

test('Equal JSON has one text, in whatever order its members came', (t) => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([name, inner]) => [name, shuffled(inner)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(JSON.parse(JSON.stringify(value)));
      t.is(canonicalJson(JSON.parse(text)), text);
      t.is(canonicalJson(JSON.parse(JSON.stringify(shuffled(value)))), text);
    }),
  );
});

test('The example of RFC 8785 comes out as it stands there', (t) => {
  const value = {
    numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: '€$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
    literals: [null, true, false],
  };
  t.is(
    canonicalJson(value),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  t.throws(() => canonicalJson([Number.NaN]), { instanceOf: TypeError });
});

test('The same words make the same numbers in every version, and other words make others', (t) => {
  const three = (...words: (string | number)[]) => {
    const random = randomOf(...words);
    return [random.below(1000), random.below(1000), random.below(1000)];
  };
  t.deepEqual(three('search', 7), three('search', 7));
  t.deepEqual(three('search', 7), [47, 509, 956]);
  t.notDeepEqual(three('search', 7), three('search', 8));
  t.notDeepEqual(three('a', 'b'), three('ab'));
});

test('Numbers are spread evenly', (t) => {
  const random = randomOf('even');
  const counts = Array.from({ length: 10 }, () => 0);
  for (let draw = 0; draw < 20_000; draw += 1) {
    const at = random.below(10);
    counts[at] = (counts[at] ?? 0) + 1;
  }
  // Chi-squared with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
  const chi = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0);
  t.true(chi < 27.9, `${chi}`);
  t.deepEqual(drawn(randomOf('all'), [3], 5), [3]);
});
