import type { Part } from '@morpheo/real-parts';

/** What a benchmark is given. */
export interface BenchContext {
  /** An empty folder on the disk that is measured; removed afterwards. */
  readonly folder: string;
  /** How much is done. */
  readonly size: BenchSize;
  /** The size of a blob in MiB, for the benchmarks of blobs; as `size` has it where absent. */
  readonly mib?: number | undefined;
  /** Among how many orders and things reads are measured; as `size` has it where absent. */
  readonly sizes?: readonly number[] | undefined;
  /** Tells what is going on, a line at a time. */
  readonly say: (line: string) => void;
}

/** `full` is what the figures are made with; `quick` takes a fraction of the time; `tiny` only proves that it runs. */
export type BenchSize = 'full' | 'quick' | 'tiny';

/** One benchmark. It throws where something came out wrong, never where something was slow. */
export interface Bench {
  readonly name: string;
  /** What the machine must have for it; it is left out where that is missing. */
  readonly parts?: readonly Part[];
  readonly run: (context: BenchContext) => Promise<Report>;
}

/** What a benchmark found. */
export interface Report {
  readonly name: string;
  readonly title: string;
  /** Lines of a table; all have the same members, whose names are the headings and tell the unit. */
  readonly rows: readonly Readonly<Record<string, string | number>>[];
  readonly aims: readonly Aim[];
  /** What a reader has to know beside the figures. */
  readonly notes: readonly string[];
  /** The figures that a picture shows. */
  readonly bars: readonly Bar[];
}

/** What was aimed at: a figure that should be at least, or at most, so much. */
export interface Aim {
  readonly what: string;
  readonly measured: number;
  readonly least?: number;
  readonly most?: number;
}

/** One bar of a picture. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly unit: string;
  /** True for the plain tool or the limit that the others are compared with. */
  readonly plain: boolean;
}

/** True where the aim was reached. */
export function isReached({ measured, least = -Infinity, most = Infinity }: Aim): boolean {
  return measured >= least && measured <= most;
}

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

/** What callers met who each made one call after another; milliseconds from a call to its answer. */
export interface Rate {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Makes the calls of several callers at once, each its next one when the last was answered, for `ms` milliseconds. */
export async function rateOf(callers: readonly (() => Promise<void>)[], ms: number): Promise<Rate> {
  const latencies: number[] = [];
  const started = performance.now();
  await Promise.all(
    callers.map(async (call) => {
      for (let now = performance.now(); now < started + ms; ) {
        await call();
        const answered = performance.now();
        latencies.push(answered - now);
        now = answered;
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  return {
    perSecond: latencies.length / seconds,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}
