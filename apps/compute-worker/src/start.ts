import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { type ClientOptions, computeClient, storageClient } from '@morpheo/client';
import { type Api, defineContract, type StorageContract } from '@morpheo/common';
import { settingsOrPrint } from '@morpheo/service/config';
import { createHttpApp, listen } from '@morpheo/service/http';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog, type Log } from '@morpheo/service/log';
import { loadConfig, type WorkerConfig } from './config.ts';
import type { ContainerRuntime } from './container-runtime/index.ts';
import { openProcessRuntime } from './container-runtime/process.ts';
import { DEFAULT_LIMITS, type WorkerLimits } from './limits.ts';
import { startWorker, type Worker } from './worker.ts';

const VERSION = '0.1.0';

/** Starts a worker as its flags and environment say; undefined where only help was asked for, which is printed. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = settingsOrPrint(loadConfig(argv, env));
  return config === undefined ? undefined : await startWith(config);
}

async function startWith(config: WorkerConfig): Promise<RunningService> {
  const log = createLog({ service: 'compute-worker', level: config.logLevel });
  const compute = computeClient(peer(config.compute, config.computeUser, config.computePassword?.reveal()));
  const storage = storageClient(
    peer(storageUrl(config), config.storageUser, config.storagePassword?.reveal()),
  );
  await using stack = new AsyncDisposableStack();
  const runtime = stack.use(await openProcessRuntime({ folder: resolve(config.dataDir), log }));
  const worker = stack.use(
    await startWorker({
      compute,
      storage,
      runtime,
      folder: config.dataDir,
      name: config.name ?? hostname(),
      slots: { learn: config.learnParallelism, predict: config.predictParallelism },
      limits: limitsOf(config),
      cacheBytes: config.cache,
      pollMs: config.poll,
      graceMs: config.grace,
      log,
    }),
  );
  // Nobody waits for this but the process itself: an error that nobody caught closes the service.
  worker.stopped.catch((error: unknown) => queueMicrotask(() => Promise.reject(error)));
  const health =
    config.port === undefined
      ? undefined
      : stack.use(await serveHealth(config, worker, storage, runtime, log));
  const opened = stack.move();
  return {
    drain: async () => await worker.drain(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
    ready: { worker: worker.id, ...(health === undefined ? {} : { url: health.url }) },
    log,
  };
}

/** Answers `/health` and `/ready`, and nothing else: it tells nothing of anybody's orders, so it asks for nobody. */
async function serveHealth(
  { host, port = 0 }: WorkerConfig,
  worker: Worker,
  storage: Api<StorageContract>,
  runtime: ContainerRuntime,
  log: Log,
) {
  const contract = defineContract({
    title: 'Morpheo compute worker',
    description: 'Whether the worker lives, and whether what it needs answers.',
    errorKey: 'error',
    realm: 'Authorization Required',
    endpoints: {},
  });
  const app = createHttpApp({
    contract,
    api: {},
    info: { name: 'compute-worker', version: VERSION },
    checks: {
      'compute-api': async () => await worker.ping(),
      'storage-api': async (signal) => void (await storage.index({}, { signal })),
      runtime: async (signal) => await runtime.ping(signal),
    },
    authenticate: null,
    anonymousIntake: false,
    log,
  });
  return await listen(app, { host, port, log });
}

function peer(url: string, name: string | undefined, secret: string | undefined): ClientOptions {
  return { url, credentials: name === undefined || secret === undefined ? undefined : { name, secret } };
}

function storageUrl({ storage, storageHost, storagePort }: WorkerConfig): string {
  return storage ?? `http://${storageHost}:${storagePort}`;
}

function limitsOf(config: WorkerConfig): WorkerLimits {
  return {
    ...DEFAULT_LIMITS,
    wallMs: { learn: config.learnTimeout, predict: config.predictTimeout },
    run: {
      memoryBytes: config.memory,
      diskBytes: config.disk,
      diskFiles: config.diskFiles,
      outputBytes: config.output,
    },
    logBytes: config.logSize,
  };
}
