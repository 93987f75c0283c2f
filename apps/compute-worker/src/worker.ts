import { join, resolve } from 'node:path';
import type { Api, ComputeContract, StorageContract } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';
import type { Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import { openCache } from './cache/index.ts';
import type { ContainerRuntime } from './container-runtime/index.ts';
import { Crew } from './crew.ts';
import { GpuAllocator } from './gpus/gpu-allocator.ts';
import type { GpuChoice } from './gpus/gpu-choice.ts';
import { searchGpus } from './gpus/gpu-search.ts';
import { type Identity, takeIdentity } from './identity.ts';
import { createInputs } from './inputs.ts';
import type { Slots } from './intake.ts';
import { Leftovers } from './leftovers.ts';
import { DEFAULT_LIMITS, type WorkerLimits } from './limits.ts';
import { createWorkerMeters, silentMeters, watchWorker } from './meters.ts';
import { createWork } from './work.ts';
import { openWorkspaces } from './workspace.ts';

/** What a worker is started with. Whoever opened the broker and the runtime closes them, after the worker. */
export interface WorkerOptions {
  readonly compute: Api<ComputeContract>;
  readonly storage: Api<StorageContract>;
  /** Wakes the worker; without it new orders are found by asking every `pollMs`. */
  readonly broker?: Broker | undefined;
  readonly runtime: ContainerRuntime;
  /** The worker's own folder: its identity, its cache and its workspaces. One process at a time. */
  readonly folder: string;
  /** The folder's identity, where it is taken already; whoever took it lets it go, after the worker. */
  readonly identity?: Identity | undefined;
  /** The worker's UUID; where absent, the one that the folder keeps. */
  readonly id?: string | undefined;
  /** For people. */
  readonly name: string;
  readonly slots: Slots;
  /** Which of the runtime's GPUs it leases to orders; `auto` where absent. */
  readonly gpus?: GpuChoice | undefined;
  /** How many orders may share a GPU; 1 where absent. */
  readonly gpuSlots?: number | undefined;
  readonly limits?: WorkerLimits | undefined;
  /** What the cache may take beside what is in use, in bytes; 20 GiB where absent. */
  readonly cacheBytes?: number | undefined;
  /** About how often it asks for orders while it has room, in milliseconds; 5,000 where absent. */
  readonly pollMs?: number | undefined;
  /** How long `drain` waits for what runs before it gives it back, in milliseconds; 20,000 where absent. */
  readonly graceMs?: number | undefined;
  readonly log: Log;
  /** Where what happens is counted; nowhere where absent. */
  readonly metrics?: Metrics | undefined;
  /** Where spans go; nowhere where absent. Whoever opened it closes it, after the worker. */
  readonly tracer?: Tracer | undefined;
}

/** A worker that takes orders. */
export interface Worker {
  readonly id: string;
  /** Rejects with `unavailable` while compute-api does not know the worker, or does not answer it. */
  ping(): Promise<void>;
  /** Resolves when nothing runs and nothing is due. */
  settle(): Promise<void>;
  /** Takes no new order; waits for those that run, and gives back what has not ended after the grace time. */
  drain(): Promise<void>;
  /** Resolves when the worker was disposed; rejects when another process has taken over its id, and it has stopped. */
  readonly stopped: Promise<void>;
  /** Gives back what runs, and lets go of everything. Doing it twice is harmless. */
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULTS = { pollMs: 5000, graceMs: 20_000, cacheBytes: 20 * 1024 ** 3 };

/**
 * Starts a worker: it takes its folder, ends what an earlier process of it left running, but for attempts that can be
 * gone on with should compute-api leave them to it, registers (for as long as
 * that takes, in the background), and takes orders while it has room. Throws `unavailable` where another process
 * has the folder.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { runtime, storage, log, metrics, tracer, cacheBytes = DEFAULTS.cacheBytes } = options;
  const meters = metrics === undefined ? silentMeters : createWorkerMeters(metrics);
  const folder = resolve(options.folder);
  await using opening = new AsyncDisposableStack();
  const identity = options.identity ?? opening.use(await takeIdentity(folder));
  const workspaces = await openWorkspaces(join(folder, 'work'), runtime.adopt !== undefined, log);
  const leftovers = new Leftovers({ runtime, workspaces });
  await runtime.recover(leftovers.attempts);
  const gpus = new GpuAllocator([], options.gpuSlots);
  const search = opening.use(await searchGpus({ runtime, choice: options.gpus ?? 'auto', gpus, log }));
  const place = { folder: join(folder, 'cache'), limitBytes: cacheBytes };
  const cache = opening.use(await openCache({ ...place, onUse: meters.cacheUsed, log }));
  const inputs = createInputs({ storage, cache });
  const limits = options.limits ?? DEFAULT_LIMITS;
  const parts = { storage, inputs, cache, runtime, limits, meters };
  const work = createWork(parts, { workspaces, gpus, leftovers });
  if (metrics !== undefined)
    watchWorker(metrics, { slots: options.slots, cache, cacheLimit: cacheBytes, gpus });
  const id = options.id ?? identity.id;
  const { pollMs = DEFAULTS.pollMs, graceMs = DEFAULTS.graceMs, compute } = options;
  const crew = new Crew(
    { ...options, id, gpus, leftovers, pollMs, graceMs },
    { compute, work, logBytes: limits.logBytes, meters, tracer, log },
  );
  opening.defer(async () => await crew.close());
  void search.late.then(() => crew.tellGpus());
  await crew.listen();
  const opened = opening.move();
  let closed: Promise<void> | undefined;
  return {
    id,
    stopped: crew.stopped,
    ping: async () => crew.ping(),
    settle: async () => await crew.settle(),
    drain: async () => await crew.drain(),
    async [Symbol.asyncDispose]() {
      closed ??= opened.disposeAsync();
      await closed;
    },
  };
}
