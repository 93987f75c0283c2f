import { randomOf } from '@morpheo/search';

/** Enough that the order shows nothing of the numbers; fewer would do for large sets, where halves are wide. */
const ROUNDS = 8;

/**
 * A seeded order of the numbers below `count` (at most 2³⁰): gives the number at a place of it, each at one place. Nothing
 * is kept, whatever the count: a Feistel network makes an order of the next power of four, and what falls outside is
 * walked through (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002: "cycle walking").
 */
export function permutationOf(seed: number, count: number): (place: number) => number {
  const half = Math.max(1, Math.ceil(Math.log2(Math.max(count, 2)) / 2));
  const mask = 2 ** half - 1;
  const random = randomOf('order', seed);
  const keys = Array.from({ length: ROUNDS }, () => random.below(2 ** 32));
  const once = (value: number): number => {
    let [left, right] = [value >>> half, value & mask];
    for (const key of keys) [left, right] = [right, left ^ (mixed(key, right) & mask)];
    return ((left << half) | right) >>> 0;
  };
  return (place) => {
    if (!Number.isInteger(place) || place < 0 || place >= count)
      throw new RangeError(`There is no place ${place} among ${count}`);
    let value = once(place);
    while (value >= count) value = once(value);
    return value;
  };
}

/** The end of MurmurHash3, twice: each bit of both numbers changes half of those that go out. */
function mixed(key: number, value: number): number {
  return finished(finished(key) ^ finished((value + 0x9e37_79b9) >>> 0));
}

function finished(value: number): number {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
