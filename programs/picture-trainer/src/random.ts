/** A source of numbers that depend on nothing but its seeds. */
export interface Random {
  /** A number from 0 up to, and without, 1. */
  next(): number;
  /** A whole number from 0 to 2^32 - 1. */
  word(): number;
}

/**
 * The stream of numbers that belongs to these seeds. Others differ in all of their numbers, so that what is drawn for an
 * epoch, a batch or a picture needs nothing of what was drawn before: there is no position to keep.
 * The generator is sfc32 (Doty-Humphrey, PractRand).
 */
export function randomOf(...seeds: readonly number[]): Random {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
  const word = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (const seed of seeds) {
    a ^= seed | 0;
    b ^= Math.floor(seed / 2 ** 32) | 0;
    // So many rounds mix a seed into all of the state.
    for (let round = 0; round < 12; round += 1) word();
  }
  return { word, next: () => word() / 2 ** 32 };
}

/** The numbers from 0 to `count` - 1 in an order that `random` decides. */
export function shuffled(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(random.next() * (last + 1));
    const kept = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = kept;
  }
  return order;
}
