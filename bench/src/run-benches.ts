import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { missingParts } from '@morpheo/real-parts';
import type { Bench, BenchSize, Report } from './bench.ts';
import { blobs } from './blobs/blobs.ts';
import { blobsOnS3 } from './blobs/blobs-on-s3.ts';
import { cliTransfers } from './blobs/cli-transfers.ts';
import { smallBlobs } from './blobs/small-blobs.ts';
import { claims } from './claims/claims.ts';
import { classification } from './classification/classification.ts';
import { containerOverhead } from './containers/container-overhead.ts';
import { spareContainers } from './containers/spare-containers.ts';
import { flat } from './flat/flat.ts';
import { jobOverhead } from './jobs/job-overhead.ts';
import { listing } from './listing/listing.ts';
import { ordersAccepted } from './orders/orders-accepted.ts';
import { ordersOnPostgres } from './orders/orders-on-postgres.ts';
import { platformOverhead } from './overhead/platform-overhead.ts';
import { batchOrders } from './pictures/batch-orders.ts';
import { searchArms } from './search/search-arms.ts';
import { shepherd } from './shepherd/shepherd.ts';
import { training } from './training/training.ts';
import { warmCalls } from './warm/warm-calls.ts';
import { warmOrders } from './warm/warm-orders.ts';

/** All there are, in the order in which they run. */
export const BENCHES: readonly Bench[] = [
  { name: 'orders-accepted', run: ordersAccepted },
  { name: 'blobs', run: blobs },
  { name: 'small-blobs', run: smallBlobs },
  { name: 'cli-transfers', run: cliTransfers },
  { name: 'platform-overhead', run: platformOverhead },
  { name: 'warm-calls', run: warmCalls },
  { name: 'warm-orders', run: warmOrders },
  { name: 'listing', run: listing },
  { name: 'shepherd', run: shepherd },
  { name: 'batch-orders', run: batchOrders },
  { name: 'search-arms', parts: ['fashion-mnist'], run: searchArms },
  { name: 'training', parts: ['fashion-mnist'], run: training },
  { name: 'classification', parts: ['fashion-mnist'], run: classification },
  { name: 'claims', parts: ['postgres', 'nsq'], run: claims },
  { name: 'flat', parts: ['postgres'], run: flat },
  { name: 'orders-on-postgres', parts: ['postgres', 'nsq'], run: ordersOnPostgres },
  { name: 'blobs-on-s3', parts: ['minio'], run: blobsOnS3 },
  {
    name: 'container-overhead',
    parts: ['docker', 'postgres', 'nsq', 'minio'],
    run: containerOverhead,
  },
  {
    name: 'spare-containers',
    parts: ['docker', 'postgres', 'nsq', 'minio'],
    run: spareContainers,
  },
  { name: 'job-overhead', parts: ['docker', 'postgres', 'nsq', 'minio'], run: jobOverhead },
];

/** What to run, and how. */
export interface RunOptions {
  /** Names of benchmarks; empty: all. */
  readonly only: readonly string[];
  readonly size: BenchSize;
  /** See `BenchContext`. */
  readonly mib?: number | undefined;
  /** See `BenchContext`. */
  readonly sizes?: readonly number[] | undefined;
  /** An existing folder on the disk that is measured. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

/**
 * Runs benchmarks one after another, each in a folder of its own that is removed afterwards, and yields what they found.
 * One whose parts the machine has not is said to be skipped, and yields nothing. Throws where a name is not known, or where something came out wrong.
 */
export async function* runBenches({ only, folder, ...how }: RunOptions): AsyncGenerator<Report> {
  const unknown = only.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    const known = BENCHES.map(({ name }) => name).join(', ');
    throw new Error(`There is no benchmark ${unknown}; there are ${known}`);
  }
  for (const { name, parts = [], run } of BENCHES) {
    if (only.length > 0 && !only.includes(name)) continue;
    const missing = missingParts(...parts);
    if (missing !== undefined) {
      how.say(`SKIPPED ${name}: ${missing}`);
      continue;
    }
    const own = await mkdtemp(join(folder, 'morpheo-bench-'));
    try {
      yield await run({ ...how, folder: own });
    } finally {
      await rm(own, { recursive: true });
    }
  }
}
