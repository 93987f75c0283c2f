/** Runs one function at a time for each key, in the order of the calls. */
export interface KeyedLock {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

/** Makes a {@link KeyedLock} that is held by this process alone; keys that nobody holds cost nothing. */
export function createKeyedLock(): KeyedLock {
  const tails = new Map<string, Promise<void>>();
  return {
    async run(key, work) {
      const before = tails.get(key);
      const { promise: tail, resolve: release } = Promise.withResolvers<void>();
      tails.set(key, tail);
      await before;
      try {
        return await work();
      } finally {
        if (tails.get(key) === tail) tails.delete(key);
        release();
      }
    },
  };
}
