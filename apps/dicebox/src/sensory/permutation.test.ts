import test from 'ava';
import fc from 'fast-check';
import { permutationOf } from './permutation.ts';

const seed = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test('Each number stands at one place', (t) => {
  fc.assert(
    fc.property(seed, fc.integer({ min: 1, max: 700 }), (given, count) => {
      const at = permutationOf(given, count);
      const numbers = new Set(Array.from({ length: count }, (_, place) => at(place)));
      return numbers.size === count && Math.max(...numbers) === count - 1;
    }),
    { numRuns: 50 },
  );
  t.pass();
});

test('The same seed gives the same order, and another one another', (t) => {
  const first = (given: number) =>
    Array.from({ length: 20 }, (_, place) => permutationOf(given, 60_000)(place));
  t.deepEqual(first(7), first(7));
  t.notDeepEqual(first(7), first(8));
  // What differs in the upper half of the seed alone.
  t.notDeepEqual(first(7), first(7 + 2 ** 40));
});

test('The order of a large set shows nothing of its numbers', (t) => {
  const count = 60_000;
  const at = permutationOf(42, count);
  const places = 6000;
  // Of those that come first, as many are of each tenth of the set; by chance 600, with a deviation of 22.
  const tenths = new Array<number>(10).fill(0);
  let risen = 0;
  for (let place = 0; place < places; place += 1) {
    const tenth = Math.floor((at(place) * 10) / count);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    if (at(place + 1) > at(place)) risen += 1;
  }
  t.true(
    tenths.every((seen) => Math.abs(seen - 600) < 130),
    String(tenths),
  );
  t.true(Math.abs(risen - places / 2) < 250, String(risen));
});

test('A place that is not there is refused', (t) => {
  const at = permutationOf(1, 10);
  for (const place of [-1, 10, 0.5]) t.throws(() => at(place), { instanceOf: RangeError });
});
