/** A source of numbers that depends on nothing but the words that it was made from. */
export interface Random {
  /** A number from 0 up to, and without, 1. */
  next(): number;
  /** A whole number from 0 up to, and without, `count`. */
  below(count: number): number;
  /** True with so much probability. */
  chance(probability: number): boolean;
  /** One of a list that is not empty. Throws a `RangeError` for an empty one. */
  pick<T>(list: readonly T[]): T;
}

/**
 * A source of numbers for a purpose: the same words, in their order, make the same numbers on every machine, and other
 * words make others. It is xoshiro128** (Blackman and Vigna 2018), whose state is a hash of the words.
 */
export function randomOf(...words: readonly (string | number)[]): Random {
  const draw = xoshiro(hash(words.join('\u0000')));
  const next = () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53;
  const below = (count: number) => Math.floor(next() * count);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (list) => {
      const picked = list[below(list.length)];
      if (picked === undefined) throw new RangeError('nothing can be picked from an empty list');
      return picked;
    },
  };
}

/** `count` different members of a list, or all of it, in the order in which they were drawn. */
export function drawn<T>(random: Random, list: readonly T[], count: number): T[] {
  const left = [...list];
  const taken: T[] = [];
  while (taken.length < count && left.length > 0) taken.push(...left.splice(random.below(left.length), 1));
  return taken;
}

type State = readonly [number, number, number, number];

function xoshiro([first, second, third, fourth]: State): () => number {
  let [a, b, c, d] = [first, second, third, fourth];
  return () => {
    const result = Math.imul(rotated(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotated(d, 11);
    return result;
  };
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

/** Four words of 32 bits, each from all of the text: FNV-1a with other beginnings, then the end of MurmurHash3. */
function hash(text: string): State {
  const word = (start: number) => {
    let value = start;
    for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 16_777_619);
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
    return (value ^ (value >>> 16)) >>> 0;
  };
  // Never all zero, from which no other number comes.
  return [word(0x811c9dc5), word(0x9e3779b9), word(0x7f4a7c15), word(0x2545f491) | 1];
}
