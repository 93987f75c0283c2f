import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '@morpheo/real-parts';
import {
  attemptsByOutcome,
  failuresOf,
  judge,
  openOnlooker,
  slowestTakeovers,
  type Takeovers,
  unsettled,
} from './account.ts';
import { type Cluster, openCluster } from './cluster/cluster.ts';
import { type Goods, postOrders, uploadGoods } from './customers.ts';
import { type FaultChoice, faultKinds } from './faults.ts';
import { type JobsAccount, judgeJobs } from './job-account.ts';
import { type LateCalls, startLateCalls } from './late-calls.ts';
import type { Course } from './picture.ts';
import { type Progress, watchProgress } from './progress.ts';
import { type Fault, makeTrouble } from './trouble.ts';

/** What a run is like. */
export interface ChaosOptions {
  readonly seed: number;
  /** So many at least: they are posted for as long as there were fewer faults, or fewer stale calls, than wanted. */
  readonly orders: number;
  readonly fewestFaults: number;
  readonly fewestStaleCalls: number;
  /** Between two orders, and between two faults, on average. */
  readonly paceMs: number;
  readonly faultEveryMs: number;
  /** The trouble ends with the last order, and after so many faults or minutes at the latest. */
  readonly mostFaults: number;
  readonly mostMinutes: number;
  readonly dockerWorkers: number;
  readonly processWorkers: number;
  /** Ends the run early: everything that it started is ended. */
  readonly signal?: AbortSignal;
  /** Told now and then how far it is. */
  readonly onProgress?: (line: string) => void;
}

/** What came of a run. */
export interface ChaosResult extends Takeovers {
  readonly seed: number;
  readonly orders: number;
  readonly faults: Readonly<Record<string, number>>;
  /** How it went, for a picture. */
  readonly course: Omit<Course, 'title'>;
  /** Sorts of faults that this machine cannot make, and why. */
  readonly leftOut: readonly string[];
  readonly attempts: Readonly<Record<string, number>>;
  /** The jobs whose outputs were compared byte for byte, and those of them that went on from a checkpoint. */
  readonly jobs: Omit<JobsAccount, 'broken'>;
  /** Why orders failed, though their code does not: where the platform took its own trouble for theirs. */
  readonly failures: readonly string[];
  /** Calls in the name of attempts that were lost, all refused. */
  readonly staleCalls: number;
  /** From the last mended fault to the moment when nothing was left to do. */
  readonly recoverySeconds: number;
  /** Until an order was accepted: the 99th of a hundred, in milliseconds. */
  readonly acceptP99Ms: number;
  readonly minutes: number;
  /** What of the promise did not hold, a sentence each. */
  readonly broken: readonly string[];
}

const REST_MS = 600_000;

/** Starts the real parts, has orders posted while faults are made, waits for rest, and judges. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, onProgress = () => undefined } = options;
  const { dockerWorkers, processWorkers } = options;
  const startedAt = Date.now();
  await using cluster = await openCluster({ computes: 2, storages: 2, dockerWorkers, processWorkers });
  await using database = await openOnlooker(cluster);
  const goods = await uploadGoods(cluster);
  onProgress('everything runs');
  using progress = watchProgress(database, onProgress);
  await using late = startLateCalls(cluster, database, randomFrom(seed + 2));
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => undefined);
  options.signal?.addEventListener('abort', () => stopped.reject(new Error('The run was stopped.')), {
    once: true,
  });
  return await Promise.race([account(), stopped.promise]);

  async function account(): Promise<ChaosResult> {
    const { kinds, leftOut } = await faultKinds(cluster);
    const scene = { cluster, goods, kinds, progress, late };
    const { customers, faults } = await ordersAmongFaults(scene, options);
    const calmSince = Date.now();
    while ((await unsettled(database).catch(() => 1)) > 0 && Date.now() - calmSince < REST_MS)
      await sleep(250);
    const recoverySeconds = (Date.now() - calmSince) / 1000;
    const counts: Record<string, number> = {};
    const jobs = await judgeJobs(cluster, database, customers.jobs);
    for (const { kind } of faults) counts[kind] = (counts[kind] ?? 0) + 1;
    return {
      ...{ seed, orders: customers.accepted.size, faults: counts, leftOut, recoverySeconds },
      course: { samples: progress.samples, faults },
      attempts: await attemptsByOutcome(database),
      failures: await failuresOf(database, customers),
      jobs: { compared: jobs.compared, resumed: jobs.resumed },
      ...(await slowestTakeovers(database, faults)),
      acceptP99Ms: customers.waits.toSorted((a, b) => a - b)[Math.floor(customers.waits.length * 0.99)] ?? 0,
      minutes: Math.round((Date.now() - startedAt) / 600) / 100,
      staleCalls: late.refused,
      broken: [...late.taken, ...(await judge(cluster, database, customers)), ...jobs.broken],
    };
  }
}

interface Scene {
  readonly cluster: Cluster;
  readonly goods: Goods;
  readonly kinds: FaultChoice['kinds'];
  readonly progress: Progress;
  readonly late: LateCalls;
}

async function ordersAmongFaults(
  { cluster, goods, kinds, progress, late }: Scene,
  { seed, orders, paceMs, faultEveryMs, mostFaults, mostMinutes, ...fewest }: ChaosOptions,
) {
  const deadline = Date.now() + mostMinutes * 60_000;
  const faults: Fault[] = [];
  let isPosting = true;
  const isWanted = () =>
    Date.now() < deadline && (faults.length < fewest.fewestFaults || late.refused < fewest.fewestStaleCalls);
  const [customers] = await Promise.all([
    postOrders(cluster, goods, randomFrom(seed), {
      ...{ orders, isWanted, paceMs, unfinished: () => progress.open },
      mostUnfinished: 400,
    }).finally(() => {
      isPosting = false;
    }),
    makeTrouble(kinds, randomFrom(seed + 1), {
      ...{ everyMs: faultEveryMs, most: mostFaults, faults },
      isOver: () => !(isPosting || progress.open > 0) || Date.now() > deadline,
    }),
  ]);
  return { customers, faults };
}
