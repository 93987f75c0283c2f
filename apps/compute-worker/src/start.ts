import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import { settingsOrCheck } from '@morpheo/service/check';
import type { RunningService } from '@morpheo/service/lifecycle';
import { createLog } from '@morpheo/service/log';
import { createMetrics } from '@morpheo/service/metrics';
import { tracerOf } from '@morpheo/service/trace';
import { probesOf } from './check.ts';
import { loadConfig, type WorkerConfig } from './config.ts';
import { serveHealth } from './health.ts';
import { takeIdentity } from './identity.ts';
import { DEFAULT_LIMITS, type WorkerLimits } from './limits.ts';
import { computeOf, openBroker, storageOf } from './neighbours.ts';
import { openRuntime } from './open-runtime.ts';
import { unusedFlags } from './unused-settings.ts';
import { startWorker } from './worker.ts';

const VERSION = '0.1.0';

/** Starts a worker as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const config = await settingsOrCheck(loadConfig(argv, env), probesOf);
  return config === undefined ? undefined : await startWith(config);
}

async function startWith(config: WorkerConfig): Promise<RunningService> {
  const log = createLog({ service: 'compute-worker', level: config.logLevel });
  const unused = unusedFlags(config);
  if (unused.length > 0) log.warn({ unused }, 'Flags of the original are given that have no use here');
  await using stack = new AsyncDisposableStack();
  const tracer = stack.use(await tracerOf(config, { service: 'compute-worker', version: VERSION, log }));
  const metrics = createMetrics({ process: true });
  const compute = computeClient(computeOf(config));
  const storage = storageClient(storageOf(config));
  const folder = resolve(config.dataDir);
  const identity = stack.use(await takeIdentity(folder));
  const runtime = stack.use(await openRuntime(config, { worker: identity.id, folder, log }));
  const broker = await openBroker(config, log);
  if (broker !== undefined) stack.use(broker);
  const worker = stack.use(
    await startWorker({
      compute,
      storage,
      broker,
      runtime,
      identity,
      folder,
      name: config.name ?? hostname(),
      slots: { learn: config.learnParallelism, predict: config.predictParallelism },
      gpus: config.gpus,
      gpuSlots: config.gpuSlots,
      limits: limitsOf(config),
      cacheBytes: config.cache,
      pollMs: config.poll,
      graceMs: config.grace,
      log,
      metrics,
      tracer,
    }),
  );
  // Nobody waits for this but the process itself: an error that nobody caught closes the service.
  worker.stopped.catch((error: unknown) => queueMicrotask(() => Promise.reject(error)));
  const health =
    config.port === undefined
      ? undefined
      : stack.use(
          await serveHealth(
            { host: config.host, port: config.port },
            { worker, storage, runtime, broker, metrics, version: VERSION, log },
          ),
        );
  const opened = stack.move();
  return {
    drain: async () => await worker.drain(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
    ready: { worker: worker.id, ...(health === undefined ? {} : { url: health.url }) },
    log,
  };
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
      processes: config.processes,
      ...(config.cpus === undefined ? {} : { cpus: config.cpus }),
    },
    logBytes: config.logSize,
  };
}
