import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { type ClientOptions, computeClient, identify, storageClient } from '@morpheo/client';
import {
  type Contract,
  computeContract,
  isPlatformError,
  PlatformError,
  storageContract,
  VERSION,
} from '@morpheo/common';
import { settingsOrCheck } from '@morpheo/service/check';
import {
  type OpenedService,
  type RunningService,
  type ServiceTools,
  startService,
} from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { openRegistries } from '@morpheo/service/registry';
import { takeIdentity } from './agent/identity.ts';
import { openConnections } from './buckets/index.ts';
import { probesOf } from './check.ts';
import { callPeer, computeOf, openBroker, storageOf } from './clients.ts';
import { loadConfig, unusedSettings, type WorkerConfig } from './config/config.ts';
import { DEFAULT_LIMITS, type WorkerLimits } from './config/limits.ts';
import { openRuntime } from './config/open-runtime.ts';
import { runnerLimitsOf } from './config/runners.ts';
import { serveHealth } from './health.ts';
import { readSheep } from './sheep/flock.ts';
import { startWorker } from './worker.ts';

/** Starts a worker as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), (values) => probesOf(values, env));
  return await startService(config, {
    name: 'compute-worker',
    unused: unusedSettings,
    open: async (values, tools) => await open(values, env, tools),
  });
}

async function open(
  config: WorkerConfig,
  env: Readonly<Record<string, string | undefined>>,
  { log, metrics, tracer, stack }: ServiceTools,
): Promise<OpenedService> {
  const sheep = await readSheep(config, env);
  await refuseForeignPeers(config, log);
  const storage = storageOf(config);
  const folder = resolve(config.dataDir);
  const identity = stack.use(await takeIdentity(folder, log));
  const runtime = stack.use(await openRuntime(config, { worker: identity.id, folder, log }));
  const buckets = await openConnections(config.buckets, { log, stack });
  const broker = await openBroker(config, log, stack);
  if (broker !== undefined) stack.use(broker);
  const worker = stack.use(
    await startWorker({
      compute: computeClient(computeOf(config)),
      openStorage: (ticket) => storageClient({ ...storage, token: ticket }),
      broker,
      runtime,
      identity,
      folder,
      name: config.name ?? hostname(),
      slots: {
        learn: config.learnParallelism,
        predict: config.predictParallelism,
        job: config.jobParallelism,
      },
      labels: config.labels,
      dedicated: config.dedicated,
      sheep,
      gpus: config.gpus,
      gpuSlots: config.gpuSlots,
      limits: limitsOf(config),
      buckets,
      images: {
        registries: await openRegistries(config, { log, stack }),
        bytes: config.imageSize,
        wallMs: config.imageTimeout,
      },
      cacheBytes: config.cache,
      runners: runnerLimitsOf(config),
      pollMs: config.poll,
      graceMs: config.grace,
      log,
      metrics,
      tracer,
    }),
  );
  // Nobody waits for this but the process itself: an error that nobody caught closes the service.
  worker.stopped.catch((error: unknown) => queueMicrotask(() => Promise.reject(error)));
  const { host, port } = config;
  const parts = {
    ...{ worker, folder, storage: storageClient(storage), runtime, broker, metrics, version: VERSION, log },
  };
  const health = port === undefined ? undefined : stack.use(await serveHealth({ host, port }, parts));
  return {
    drain: async () => await worker.drain(),
    ready: { worker: worker.id, ...(health === undefined ? {} : { url: health.url }) },
  };
}

/**
 * Throws `conflict` where what answers in the place of compute-api or storage-api is no service of ours, the originals
 * included: it fences no attempt and stages no result, so an order would be lost or done twice. One that is away is
 * waited for.
 */
async function refuseForeignPeers(config: WorkerConfig, log: Log): Promise<void> {
  const refuse = async (contract: Contract, peer: ClientOptions, flag: string) => {
    try {
      await callPeer(
        contract.title,
        AbortSignal.timeout(10_000),
        async (stop) => await identify(contract, peer, stop),
      );
    } catch (error) {
      if (isPlatformError(error, 'conflict')) {
        const remedy = `Beside those of the original, start the worker of the original. This worker works with compute-api and storage-api of Morpheo Compute alone: start those, or correct ${flag}.`;
        throw new PlatformError('conflict', `${error.message} ${remedy}`, { cause: error });
      }
      log.warn({ error }, `The ${contract.title} does not answer yet`);
    }
  };
  await Promise.all([
    refuse(computeContract, computeOf(config), '--compute'),
    refuse(storageContract, storageOf(config), '--storage'),
  ]);
}

function limitsOf(config: WorkerConfig): WorkerLimits {
  return {
    ...DEFAULT_LIMITS,
    wallMs: { learn: config.learnTimeout, predict: config.predictTimeout, job: config.jobTimeout },
    run: {
      memoryBytes: config.memory,
      diskBytes: config.disk,
      diskFiles: config.diskFiles,
      outputBytes: config.output,
      processes: config.processes,
      ...(config.shmSize === undefined ? {} : { sharedMemoryBytes: config.shmSize }),
      ...(config.cpus === undefined ? {} : { cpus: config.cpus }),
    },
    checkpoints: { ...DEFAULT_LIMITS.checkpoints, bytes: config.checkpoint },
    logBytes: config.logSize,
  };
}
