import { join, resolve } from 'node:path';
import {
  type Api,
  type ComputeContract,
  RUNNER_PROTOCOLS,
  type RunnerProtocol,
  type Slots,
} from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import type { Log } from '@morpheo/service/log';
import type { Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import { WorkerAgent } from './agent/agent.ts';
import { findArchitecture } from './agent/architecture.ts';
import { createCalls } from './agent/calls/run-call.ts';
import { type Identity, takeIdentity } from './agent/identity.ts';
import { Recovery } from './agent/recovery.ts';
import { Remembered } from './async/remembered.ts';
import { createWork } from './attempt/work.ts';
import { Workspaces } from './attempt/workspace.ts';
import { type Connections, openConnections } from './buckets/index.ts';
import type { OpenStorage } from './clients.ts';
import { DEFAULT_LIMITS, type WorkerLimits } from './config/limits.ts';
import { GpuAllocator } from './gpus/allocator.ts';
import { searchGpus } from './gpus/find.ts';
import type { GpuChoice } from './gpus/settings.ts';
import { type ImagePolicy, NO_IMAGES } from './images/policy.ts';
import { openCache } from './inputs/cache/index.ts';
import { Inputs } from './inputs/fetch.ts';
import { createWorkerMeters, watchWorker } from './metrics.ts';
import type { Runners } from './runners/index.ts';
import { createRunnerMeters, watchRunners } from './runners/meters.ts';
import { openRunners } from './runners/pool.ts';
import type { RunnerLimits } from './runners/settings.ts';
import type { ContainerRuntime } from './runtime/index.ts';
import { Flock, type KeptSheep } from './sheep/flock.ts';

/** What a worker is started with. Whoever opened the broker and the runtime closes them, after the worker. */
export interface WorkerOptions {
  readonly compute: Api<ComputeContract>;
  readonly openStorage: OpenStorage;
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
  /** What it offers to orders that need it, beside its runtime and architecture; nothing where absent. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Keys of its labels that orders have to need before they come here; it takes any that it can run where absent. */
  readonly dedicated?: readonly string[] | undefined;
  /** Which of the runtime's GPUs it leases to orders; `auto` where absent. */
  readonly gpus?: GpuChoice | undefined;
  /** How many orders may share a GPU; 1 where absent. */
  readonly gpuSlots?: number | undefined;
  readonly limits?: WorkerLimits | undefined;
  /** The buckets that jobs may name; none where absent. */
  readonly buckets?: Connections | undefined;
  /** From where images of registries are fetched; from nowhere where absent. */
  readonly images?: ImagePolicy | undefined;
  /** What the cache may take beside what is in use, in bytes; 20 GiB where absent. */
  readonly cacheBytes?: number | undefined;
  /** About how often it asks for orders while it has room, in milliseconds; 5,000 where absent. */
  readonly pollMs?: number | undefined;
  /** The sheep of Shepherd that it keeps, which it offers; none where absent. */
  readonly sheep?: KeptSheep | undefined;
  /** What bounds its warm runners; as `DEFAULT_RUNNER_LIMITS` where absent. */
  readonly runners?: RunnerLimits | undefined;
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
  readonly runners: Runners;
  /** Rejects with `unavailable` while compute-api does not know the worker, or does not answer it. */
  ping(): Promise<void>;
  /** Resolves when nothing runs and nothing is due. */
  settle(): Promise<void>;
  /** Takes no new order; waits for those that run, and gives back what has not ended after the grace time. */
  drain(): Promise<void>;
  /** Resolves when the worker was disposed; rejects when another process has its id, and it has stopped. */
  readonly stopped: Promise<void>;
  /** Gives back what runs, and lets go of everything. Doing it twice is harmless. */
  [Symbol.asyncDispose](): Promise<void>;
}

const WORK = 'work';
const CACHE = 'cache';
const RUNNERS = 'runners';

/** The names of the folders that a worker has in its own. */
export const WORKER_FOLDERS: readonly string[] = [WORK, CACHE, RUNNERS];

const DEFAULTS = { pollMs: 5000, graceMs: 20_000, cacheBytes: 20 * 1024 ** 3 };

/**
 * Starts a worker: it takes its folder, ends what an earlier process of it left running (but for attempts that can be
 * resumed, should compute-api leave them to it), registers (for as long as that takes, in the background), and claims
 * orders while it has room. Throws `unavailable` where another process has the folder.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { runtime, openStorage, log, metrics, cacheBytes = DEFAULTS.cacheBytes } = options;
  const meters = createWorkerMeters(metrics);
  const folder = resolve(options.folder);
  await using opening = new AsyncDisposableStack();
  const identity = options.identity ?? opening.use(await takeIdentity(folder, log));
  const workspaces = await Workspaces.open(join(folder, WORK), runtime.adopt !== undefined, log);
  const recovery = new Recovery({ runtime, workspaces, log });
  await runtime.recover(recovery.attempts);
  const gpus = new GpuAllocator([], options.gpuSlots);
  const search = opening.use(await searchGpus({ runtime, choice: options.gpus ?? 'auto', gpus, log }));
  const architecture = opening.use(await findArchitecture({ runtime, log }));
  const cache = opening.use(
    await openCache({ folder: join(folder, CACHE), limitBytes: cacheBytes, onUse: meters.cacheUsed, log }),
  );
  const inputs = new Inputs(cache);
  const limits = options.limits ?? DEFAULT_LIMITS;
  const buckets = options.buckets ?? (await openConnections(undefined, { log, stack: opening }));
  const { images = NO_IMAGES } = options;
  const runners = opening.use(
    await openRunners({
      ...{ runtime, gpus, log, limits: options.runners, meters: createRunnerMeters(metrics) },
      folder: join(folder, RUNNERS),
    }),
  );
  const flock = await Flock.open(options.sheep, folder, log);
  const shared = { openStorage, inputs, cache, runtime, images, buckets, limits, meters };
  const known = { declarations: new Remembered<boolean>(), runnerKeys: new Remembered<string>() };
  const parts = { ...shared, ...known, runners, flock };
  const work = createWork(parts, { workspaces, gpus, recovery });
  const calls = options.runners?.most === 0 ? undefined : createCalls(shared, runners, log);
  if (metrics !== undefined) {
    opening.use(watchWorker(metrics, { slots: options.slots, cache, cacheLimit: cacheBytes, gpus }));
    opening.use(watchRunners(metrics, runners));
  }
  const id = options.id ?? identity.id;
  const { pollMs = DEFAULTS.pollMs, graceMs = DEFAULTS.graceMs } = options;
  const { logBytes } = limits;
  const onRegistered = async () => await identity.settle();
  const onTakenOver = async () => await identity.giveUp();
  const moved = options.id === undefined && identity.moved;
  const labels = options.sheep === undefined ? options.labels : { ...options.labels, ...flock.labels };
  const settings = { id, labels, moved, onRegistered, onTakenOver, pollMs, graceMs, logBytes };
  // Who asks for no less memory than others has to fit.
  const fits = runners.refusal({ limits: limits.run, gpus: 0 }) === undefined;
  const warm = (): readonly RunnerProtocol[] => (runners.possible && fits ? RUNNER_PROTOCOLS : []);
  const its = { architecture, warm, gpus, recovery, work, calls, meters };
  const agent = new WorkerAgent({ ...options, ...settings, ...its });
  opening.defer(async () => await agent.close());
  opening.use(onceOffered(runners, () => agent.reregister()));
  for (const { late } of [search, architecture]) void late.then(() => agent.reregister());
  const opened = opening.move();
  let closed: Promise<void> | undefined;
  return {
    id,
    runners,
    stopped: agent.stopped,
    ping: async () => agent.ping(),
    settle: async () => await agent.settle(),
    drain: async () => await agent.drain(),
    async [Symbol.asyncDispose]() {
      closed ??= opened.disposeAsync();
      await closed;
    },
  };
}

/** Calls `tell` when there can be runners after all, which a runtime that does not answer at once tells later. */
function onceOffered(runners: Pick<Runners, 'possible' | 'onChange'>, tell: () => void): Disposable {
  let { possible } = runners;
  return runners.onChange(() => {
    if (runners.possible === possible) return;
    ({ possible } = runners);
    if (possible) tell();
  });
}
