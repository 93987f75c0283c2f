import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { computeClient, storageClient } from '@morpheo/client';
import { freePorts } from '@morpheo/real-parts';
import { ClusterService, untilHealthy } from './cluster-service.ts';
import { DISK_BYTES, Disks } from './disks.ts';
import { type Parts, startParts } from './parts.ts';
import {
  CALLER,
  computeSettings,
  dockerSettings,
  storageSettings,
  urlOf,
  workerSettings,
} from './services.ts';

const run = promisify(execFile);

/** How large the cluster is. */
export interface ClusterOptions {
  readonly computes: number;
  readonly storages: number;
  /** Workers whose containers are Docker's. */
  readonly dockerWorkers: number;
  /** Workers whose containers are plain processes, which cost less. */
  readonly processWorkers: number;
}

/** The real parts and our services, each a process of its own. */
export interface Cluster extends Parts, AsyncDisposable {
  readonly computes: readonly ClusterService[];
  readonly storages: readonly ClusterService[];
  readonly workers: readonly ClusterService[];
  readonly disks: Disks;
  /** The APIs, one client per process. */
  readonly computeApis: readonly ReturnType<typeof computeClient>[];
  readonly storageApis: readonly ReturnType<typeof storageClient>[];
}

/** Starts everything; resolves when every API answers. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-chaos-'));
  // PostgreSQL runs as a user of its own, who has to find the way.
  await chmod(folder, 0o711);
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const disks = stack.use(new Disks());
  const [orchestratorPort = 0, ...ports] = await freePorts(1 + options.computes + options.storages);
  const parts = await startParts(stack, { folder, disks, orchestratorPort });
  const services = await makeServices(stack, { folder, disks, parts, ports, options });
  const { computes, storages, workers } = services;
  for (const service of [...storages, ...computes, ...workers]) void service.start();
  const apis = [...storages, ...computes];
  await Promise.all(apis.map(async ({ port }) => await untilHealthy(urlOf(port)))).catch(async (error) => {
    const { stdout } = await run('tail', ['-n', '3', ...apis.map(({ logFile }) => logFile)]);
    throw new Error(`The cluster does not start.\n${stdout}`, { cause: error });
  });
  const opened = stack.move();
  return {
    ...{ ...parts, ...services, disks },
    computeApis: computes.map(({ port }) => computeClient({ url: urlOf(port) })),
    storageApis: storages.map(({ port }) => storageClient({ url: urlOf(port), credentials: CALLER })),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

interface Site {
  readonly folder: string;
  readonly disks: Disks;
  readonly parts: Parts;
  readonly ports: readonly number[];
  readonly options: ClusterOptions;
}

/** Our services, not yet started. */
async function makeServices(
  stack: AsyncDisposableStack,
  { folder, disks, parts, ports, options }: Site,
): Promise<Pick<Cluster, 'computes' | 'storages' | 'workers'>> {
  const storagePorts = ports.slice(0, options.storages);
  const computePorts = ports.slice(options.storages);
  const make = (
    name: string,
    app: 'compute-api' | 'compute-worker' | 'storage-api',
    settings: Record<string, string>,
  ) => {
    const flags = { 'log-level': 'warn', ...settings };
    return stack.use(new ClusterService(name, app, flags, join(folder, `${name}.log`)));
  };
  const dataDir = async (name: string) => ({
    'data-dir': await disks.folderFor(name, join(folder, name), DISK_BYTES.service),
  });
  const storages = await Promise.all(
    storagePorts.map(async (port, index) => {
      const name = `storage-${index}`;
      return make(name, 'storage-api', { ...storageSettings(parts, port), ...(await dataDir(name)) });
    }),
  );
  const computes = computePorts.map((port, index) => {
    const storagePort = storagePorts[index % storagePorts.length];
    return make(`compute-${index}`, 'compute-api', computeSettings(parts, { port, storagePort }));
  });
  const workers = await Promise.all(
    Array.from({ length: options.dockerWorkers + options.processWorkers }, async (_, index) => {
      const name = `worker-${index}`;
      const own =
        index < options.dockerWorkers
          ? await dockerSettings(parts, name)
          : { runtime: 'process', ...(await dataDir(name)) };
      const computePort = computePorts[index % computePorts.length];
      const storagePort = storagePorts[index % storagePorts.length];
      return make(name, 'compute-worker', { ...workerSettings(parts, { computePort, storagePort }), ...own });
    }),
  );
  return { computes, storages, workers };
}
