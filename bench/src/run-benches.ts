import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench, BenchSize, Report } from './bench.ts';
import { blobs } from './blobs/blobs.ts';
import { listing } from './listing/listing.ts';
import { ordersAccepted } from './orders/orders-accepted.ts';
import { platformOverhead } from './overhead/platform-overhead.ts';

/** All there are, in the order in which they run. */
export const BENCHES: readonly Bench[] = [
  { name: 'orders-accepted', run: ordersAccepted },
  { name: 'blobs', run: blobs },
  { name: 'platform-overhead', run: platformOverhead },
  { name: 'listing', run: listing },
];

/** What to run, and how. */
export interface RunOptions {
  /** Names of benchmarks; empty: all. */
  readonly only: readonly string[];
  readonly size: BenchSize;
  /** An existing folder on the disk that is measured. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

/**
 * Runs benchmarks one after another, each in a folder of its own that is removed afterwards, and yields what they found.
 * Throws where a name is not known, or where something came out wrong.
 */
export async function* runBenches({ only, folder, ...how }: RunOptions): AsyncGenerator<Report> {
  const unknown = only.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    const known = BENCHES.map(({ name }) => name).join(', ');
    throw new Error(`There is no benchmark ${unknown}; there are ${known}`);
  }
  for (const { name, run } of BENCHES) {
    if (only.length > 0 && !only.includes(name)) continue;
    const own = await mkdtemp(join(folder, 'morpheo-bench-'));
    try {
      yield await run({ ...how, folder: own });
    } finally {
      await rm(own, { recursive: true });
    }
  }
}
