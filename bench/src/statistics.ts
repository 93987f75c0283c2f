/** The value below which the share `share` (0 to 1) of the values lies; NaN where there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The value in the middle; NaN where there are none. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Runs work and tells how long it took, in milliseconds of wall-clock time. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const started = performance.now();
  const result = await work();
  return { result, ms: performance.now() - started };
}
