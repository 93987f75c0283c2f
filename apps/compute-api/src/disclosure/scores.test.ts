import { DEFAULT_DISCLOSURE } from '@morpheo/common';
import test from 'ava';
import { coarseScore } from './scores.ts';

/** How many bits one of all scores that there are can carry, rounded to so many digits. */
function bitsOf(digits: number): number {
  const told = new Set<number>(
    [Number.MAX_VALUE, Number.MIN_VALUE].map((score) => coarseScore(score, digits)),
  );
  // Every number of so many digits, over more decades than are told apart.
  for (let mantissa = 10 ** (digits - 1); mantissa < 10 ** digits; mantissa++) {
    for (let exponent = -12; exponent <= 12; exponent++) {
      const score = coarseScore(Number(`${mantissa}e${exponent - digits + 1}`), digits);
      told.add(score).add(-score);
    }
  }
  return Math.log2(told.size);
}

test('A score that is told carries 18 bits at the most by default, and 8 with one digit', (t) => {
  t.is(bitsOf(DEFAULT_DISCLOSURE.digits).toFixed(1), '17.9');
  t.is(bitsOf(1).toFixed(1), '8.0');
});

test('A score is rounded to its digits, and to a range of sizes', (t) => {
  t.deepEqual(
    [0.98765, -12.3456, 0, 1.234e-6, 77_213_456].map((score) => coarseScore(score, 4)),
    [0.9877, -12.35, 0, 0.000_001_234, 77_210_000],
  );
  t.deepEqual(
    [9.99e-7, -1.234e-200, 1.234e200, -99_999_999].map((score) => coarseScore(score, 4)),
    [0, 0, 1e8, -1e8],
  );
});
