/** Chance that can be had again: the same seed draws the same. */
export interface Random {
  /** At least 0, less than 1. */
  next(): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** At least `from`, less than `to`. */
  between(from: number, to: number): number;
  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T;
  /** A version 4 UUID. */
  uuid(): `${string}-${string}-${string}-${string}-${string}`;
}

/** Makes a {@link Random} of a seed, a whole number (Mulberry32, T. Ettinger 2017). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join('');
  return {
    next,
    chance: (probability) => next() < probability,
    between: (from, to) => from + next() * (to - from),
    pick(list) {
      const one = list[Math.floor(next() * list.length)];
      if (one === undefined) throw new RangeError('There is nothing to pick from.');
      return one;
    },
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`,
  };
}

/** Whether this is `make soak`: what is a matter of sample size then gets its full size. */
const isSoak = process.env.MORPHEO_SOAK === '1';

/** How much a test tries: as the environment's `variable` says; else `full` in `make soak`, and `small` in each change. */
export function sampleSize(variable: string, { small, full }: { small: number; full: number }): number {
  return Number(process.env[variable] ?? (isSoak ? full : small));
}
