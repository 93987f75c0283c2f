import { type Api, defineContract, type StorageContract } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import { folderProbe } from '@morpheo/service/check';
import { createHttpApp, type HttpServer, listen } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import type { Metrics } from '@morpheo/service/metrics';
import { runnersWarning } from './runners/meters.ts';
import type { ContainerRuntime } from './runtime/index.ts';
import { WORKER_FOLDERS, type Worker } from './worker.ts';

/** What the worker needs, and is asked for at `/ready`. */
export interface HealthParts {
  readonly worker: Worker;
  /** The worker's data folder. */
  readonly folder: string;
  readonly storage: Api<StorageContract>;
  readonly runtime: ContainerRuntime;
  readonly broker: Broker | undefined;
  readonly metrics: Metrics;
  readonly version: string;
  readonly log: Log;
}

/** Answers `/health`, `/ready` and `/metrics` alone: it tells nothing of anybody's orders, so it asks for nobody. */
export async function serveHealth(
  { host, port }: { readonly host: string; readonly port: number },
  { worker, folder, storage, runtime, broker, metrics, version, log }: HealthParts,
): Promise<HttpServer> {
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
    info: { name: 'compute-worker', version },
    checks: {
      'data folder': async (signal) => void (await folderProbe(folder, WORKER_FOLDERS).ask(signal)),
      'compute-api': async () => await worker.ping(),
      'storage-api': async (signal) => void (await storage.index({}, { signal })),
      runtime: async (signal) => await runtime.ping(signal),
      ...(broker === undefined ? {} : { broker: async (signal) => await broker.ping(signal) }),
    },
    warnings: {
      runtime: async (signal) => await runtime.warning?.(signal),
      runners: async () => runnersWarning(worker.runners),
    },
    authenticate: null,
    anonymousIntake: false,
    metrics,
    log,
  });
  return await listen(app, { host, port, log });
}
