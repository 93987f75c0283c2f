import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { computeClient, storageClient } from '@morpheo/client';
import {
  type Dind,
  type MinioServer,
  type NsqServer,
  type PostgresServer,
  startDind,
  startMinio,
  startNsqd,
  startPostgres,
  type TestDatabase,
} from '@morpheo/real-parts';
import { freePorts } from '@morpheo/standalone/killable-platform';
import { HearingOrchestrator } from './orchestrator.ts';
import { ServiceProcess } from './service-process.ts';
import { untilHealthy } from './until-healthy.ts';

const run = promisify(execFile);

/** Who all services are to storage. */
const CALLER = { name: 'chaos', secret: randomUUID() };

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
export interface Cluster extends AsyncDisposable {
  readonly folder: string;
  readonly computes: readonly ServiceProcess[];
  readonly storages: readonly ServiceProcess[];
  readonly workers: readonly ServiceProcess[];
  readonly nsqd: NsqServer;
  readonly postgres: PostgresServer;
  readonly database: TestDatabase;
  readonly minio: MinioServer;
  readonly dind: Dind;
  readonly orchestrator: HearingOrchestrator;
  /** The APIs, one client per process. */
  readonly computeApis: readonly ReturnType<typeof computeClient>[];
  readonly storageApis: readonly ReturnType<typeof storageClient>[];
}

/** Starts everything; resolves when every API answers. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-chaos-'));
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const [postgres, minio, nsqd, dind] = await Promise.all([
    startPostgres(),
    startMinio(),
    startNsqd(),
    startDind(),
  ]);
  for (const part of [postgres, minio, nsqd, dind]) stack.use(part);
  const database = await postgres.createDatabase();
  const bucket = await minio.createBucket();
  const ports = await freePorts(options.computes + options.storages + 1);
  const orchestrator = stack.use(new HearingOrchestrator(ports[0] ?? 0));
  await orchestrator.start();
  const storagePorts = ports.slice(1, 1 + options.storages);
  const computePorts = ports.slice(1 + options.storages);
  const url = (port: number | undefined): string => `http://127.0.0.1:${port}`;
  const make = (
    name: string,
    app: 'compute-api' | 'compute-worker' | 'storage-api',
    settings: Record<string, string>,
  ) =>
    stack.use(
      new ServiceProcess(name, app, { 'log-level': 'warn', ...settings }, join(folder, `${name}.log`)),
    );
  const common = { 'db-url': database.url };
  const ofStorage = { 'storage-user': CALLER.name, 'storage-password': CALLER.secret };

  const storages = storagePorts.map((port, index) =>
    make(`storage-${index}`, 'storage-api', {
      ...common,
      port: String(port),
      user: CALLER.name,
      password: CALLER.secret,
      'data-dir': join(folder, `storage-${index}`),
      blobstore: 's3',
      's3-bucket': bucket,
      's3-endpoint': minio.endpoint,
      's3-access-key': minio.credentials.accessKeyId,
      's3-secret-key': minio.credentials.secretAccessKey,
    }),
  );
  const computes = computePorts.map((port, index) =>
    make(`compute-${index}`, 'compute-api', {
      ...common,
      ...ofStorage,
      port: String(port),
      'insecure-open': 'true',
      broker: 'nsq',
      nsqd: nsqd.tcp,
      storage: url(storagePorts[index % storagePorts.length]),
      orchestrator: url(ports[0]),
      attempts: '1000',
    }),
  );
  const workers = Array.from({ length: options.dockerWorkers + options.processWorkers }, (_, index) =>
    make(`worker-${index}`, 'compute-worker', {
      ...ofStorage,
      compute: url(computePorts[index % computePorts.length]),
      storage: url(storagePorts[index % storagePorts.length]),
      nsqd: nsqd.tcp,
      poll: '2s',
      'learn-parallelism': '2',
      'predict-parallelism': '2',
      ...(index < options.dockerWorkers
        ? {
            runtime: 'docker',
            'docker-host': `unix://${dind.socketPath}`,
            'data-dir': join(dind.jobs, `worker-${index}`),
          }
        : { runtime: 'process', 'data-dir': join(folder, `worker-${index}`) }),
    }),
  );
  await mkdir(dind.jobs, { recursive: true });
  for (const service of [...storages, ...computes, ...workers]) service.start();
  try {
    await Promise.all([...storagePorts, ...computePorts].map(async (port) => await untilHealthy(url(port))));
  } catch (error) {
    const { stdout } = await run('tail', [
      '-n',
      '3',
      ...[...storages, ...computes].map(({ logFile }) => logFile),
    ]);
    throw new Error(`The cluster does not start.\n${stdout}`, { cause: error });
  }
  const opened = stack.move();
  return {
    ...{ folder, computes, storages, workers, nsqd, postgres, database, minio, dind, orchestrator },
    computeApis: computePorts.map((port) => computeClient({ url: url(port) })),
    storageApis: storagePorts.map((port) => storageClient({ url: url(port), credentials: CALLER })),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
