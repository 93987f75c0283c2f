import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { computeClient, orchestratorClient, storageClient } from '@morpheo/client';
import {
  type Api,
  type ComputeContract,
  type OrchestratorContract,
  PlatformError,
  type Slots,
  type StorageContract,
  TRAINER_LABELS,
  VERSION,
} from '@morpheo/common';
import { COMPUTE_DEFAULTS, type ComputeSettings, openComputeService } from '@morpheo/compute-api';
import {
  type ContainerRuntime,
  openProcessRuntime,
  startWorker,
  takeIdentity,
  type Worker,
} from '@morpheo/compute-worker';
import { type Broker, openMemoryBroker } from '@morpheo/service/broker';
import type { DatabasePlace } from '@morpheo/service/database';
import { createCallers, followTicketKeys, ticketSigner } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import { silentTracer, type Tracer, traceHeaders } from '@morpheo/service/trace';
import { type BlobLocation, openStorageService, type StorageSettings } from '@morpheo/storage-api';
import { type Connection, publishConnection } from './connection.ts';
import { openOrchestrator } from './orchestrator/service.ts';
import { credentialEntries, makeTicketKeyFile, readOrMakeSecrets, type Secrets } from './secrets.ts';
import { type KeptWorker, keepWorker } from './worker.ts';

/** The platform answers on this address alone: what it runs is other people's code, and it isolates nothing. */
const HOST = '127.0.0.1';

/** One person has this platform: what the orchestrator orders, and orders without credentials, may name everything. */
const OPEN: Partial<StorageSettings> = {
  defaultVisibility: 'open',
  anonymousGrants: 'all',
  outputs: 'open',
};

/** What the platform is started with. */
export interface PlatformOptions {
  /** The data folder: everything the platform keeps. Made where there is none. */
  readonly folder: string;
  /** 0, or absent: any free port. */
  readonly ports?: { readonly storage: number; readonly compute: number; readonly orchestrator: number };
  /** In place of what the platform keeps in its folder and in its process. */
  readonly parts?: PlatformParts;
  /** The worker's own folder, which its containers have to reach; in the data folder where absent. */
  readonly workerFolder?: string;
  /** Opens what runs the containers of the worker with this folder and UUID; the `process` runtime where absent. */
  readonly openRuntime?: (folder: string, worker: string) => Promise<ContainerRuntime>;
  /** How many orders of each kind run at once. */
  readonly slots?: Slots;
  readonly storage?: Partial<StorageSettings>;
  readonly compute?: Partial<ComputeSettings>;
  readonly worker?: Partial<
    Pick<
      Parameters<typeof startWorker>[0],
      | 'limits'
      | 'images'
      | 'pollMs'
      | 'cacheBytes'
      | 'graceMs'
      | 'buckets'
      | 'runners'
      | 'gpus'
      | 'sheep'
      | 'labels'
      | 'dedicated'
    >
  >;
  /** The folder of the picture trainer's program; where given, a second worker runs it, and nothing else. */
  readonly trainer?: string | undefined;
  /** Open further services on the platform, as the last of all. */
  readonly beside?: readonly ((connection: Connection) => Promise<Beside>)[];
  readonly log: Log;
  /** Counts what compute-api and the worker do; made here where absent. */
  readonly metrics?: Metrics | undefined;
  /** Opens where the spans of a service go; nowhere where absent. */
  readonly openTracer?: ((service: string, log: Log) => Promise<Tracer>) | undefined;
}

/** The parts of a team's installation; each that is absent is embedded. */
export interface PlatformParts {
  readonly database?: DatabasePlace;
  readonly blobs?: BlobLocation;
  readonly openBroker?: (log: Log) => Broker;
}

/** A further service on a platform. */
export interface Beside extends AsyncDisposable {
  /** What a client on this machine finds it by. */
  readonly tells: Partial<Pick<Connection, 'shepherd' | 'dicebox' | 'classification' | 'api_key'>>;
  /** Takes no new request, and resolves when those under way are answered. */
  drain(): Promise<void>;
}

/** The whole platform in this process. */
export interface Platform {
  /** The addresses, and the operator's credentials. */
  readonly connection: Connection;
  /** The worker's own folder. */
  readonly workerFolder: string;
  /** The public APIs as the operator sees them, over HTTP. */
  readonly storage: Api<StorageContract>;
  readonly compute: Api<ComputeContract>;
  readonly orchestrator: Api<OrchestratorContract>;
  /** Takes no new order, and resolves when what runs has ended or was given back. */
  drain(): Promise<void>;
  /** Closes everything, the intake first. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts the platform on a data folder; one that was killed at any moment goes on where it was. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const folder = resolve(options.folder);
  const ports = options.ports ?? { storage: 0, compute: 0, orchestrator: 0 };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const secrets = await readOrMakeSecrets(folder);
  const callers = createCallers(await credentialEntries(secrets));
  await using stack = new AsyncDisposableStack();
  const file = await makeTicketKeyFile(folder);
  const { keys, verify } = stack.use(await followTicketKeys({ file, log: options.log }));
  const { database, blobs, openBroker = () => openMemoryBroker() } = options.parts ?? {};
  const broker = stack.use(openBroker(options.log));
  const { openTracer = async () => silentTracer } = options;
  const logOf = (service: string): Log => options.log.child({ service });
  const tracerOf = async (service: string): Promise<Tracer> =>
    stack.use(await openTracer(service, logOf(service)));
  // The worker of this process has no page of its own: what it counts stands with compute-api.
  const metrics = options.metrics ?? createMetrics({ process: true });
  const storage = stack.use(
    await openStorageService({
      host: HOST,
      port: ports.storage,
      dataFolder: join(folder, 'storage'),
      ...{ database, blobs },
      callers,
      tickets: verify,
      settings: { ...OPEN, ...options.storage },
      version: VERSION,
      log: logOf('storage-api'),
      tracer: await tracerOf('storage-api'),
    }),
  );

  // The orchestrator and compute-api call one another; the orchestrator asks where the other is when it posts.
  let computeUrl: string | undefined;
  const orchestrator = stack.use(
    await openOrchestrator({
      host: HOST,
      port: ports.orchestrator,
      databaseFile: join(folder, 'orchestrator.db'),
      compute: () =>
        computeUrl === undefined ? undefined : { url: computeUrl, credentials: as('orchestrator', secrets) },
      authenticate: callers.authenticate,
      everyMs: 500,
      version: VERSION,
      log: logOf('orchestrator'),
    }),
  );
  let worker: KeptWorker | undefined;
  const compute = stack.use(
    await openComputeService({
      host: HOST,
      port: ports.compute,
      database: database ?? { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker,
      storage: { url: storage.url, credentials: as('compute-api', secrets) },
      orchestrator: { url: orchestrator.url, credentials: as('compute-api', secrets) },
      callers,
      signTicket: ticketSigner(keys),
      anonymousIntake: true,
      checks: { worker: async () => await pingWorker(worker) },
      settings: { ...COMPUTE_DEFAULTS, ...options.compute },
      version: VERSION,
      log: logOf('compute-api'),
      metrics,
      tracer: await tracerOf('compute-api'),
    }),
  );
  computeUrl = compute.url;
  const services: Connection = {
    storage: storage.url,
    compute: compute.url,
    orchestrator: orchestrator.url,
    credentials: as('admin', secrets),
  };
  const workerFolder = options.workerFolder ?? join(folder, 'worker');
  const log = logOf('compute-worker');
  const surroundings = {
    broker,
    connection: services,
    secrets,
    metrics,
    log,
    tracer: await tracerOf('compute-worker'),
  };
  const own = stack.use(
    await keepWorker(async () => await openWorker(options, workerFolder, surroundings), log),
  );
  worker = own;
  const drains = [own];
  const { trainer } = options;
  if (trainer !== undefined) {
    const training = async () =>
      await openWorker(trainerWorker(trainer, log), join(folder, 'trainer'), surroundings);
    drains.push(stack.use(await keepWorker(training, log)));
  }
  let connection = services;
  const besides: Beside[] = [];
  for (const open of options.beside ?? []) {
    const beside = stack.use(await open(connection));
    besides.push(beside);
    connection = { ...connection, ...beside.tells };
  }
  stack.use(await publishConnection(folder, connection));
  const opened = stack.move();
  return {
    ...{ connection, workerFolder },
    ...clientsOf(connection),
    drain: async () => {
      await Promise.all([...drains, ...besides].map(async (one) => await one.drain()));
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function pingWorker(worker: KeptWorker | undefined): Promise<void> {
  if (worker === undefined) throw new PlatformError('unavailable', 'The worker is being started.');
  await worker.ping();
}

interface WorkerSurroundings {
  readonly broker: Broker;
  readonly connection: Connection;
  readonly secrets: Secrets;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  readonly log: Log;
}

/** What makes a worker of the platform. */
type WorkerPart = Pick<PlatformOptions, 'openRuntime' | 'slots' | 'worker'> & { readonly name?: string };

/** A worker that takes what needs the picture trainer, and nothing else. */
function trainerWorker(programs: string, log: Log): WorkerPart {
  return {
    name: 'trainer',
    openRuntime: async (folder) =>
      await openProcessRuntime({ folder, programs, programVariables: ['TRAINER_'], log }),
    slots: { learn: 0, predict: 0, job: 1 },
    worker: { labels: TRAINER_LABELS, dedicated: Object.keys(TRAINER_LABELS) },
  };
}

async function openWorker(
  options: WorkerPart,
  home: string,
  { connection, secrets, log, ...around }: WorkerSurroundings,
): Promise<Worker> {
  const open = options.openRuntime ?? (async (folder) => await openProcessRuntime({ folder, log }));
  await using stack = new AsyncDisposableStack();
  const identity = stack.use(await takeIdentity(home, log));
  const runtime = stack.use(await open(home, identity.id));
  const callers = { credentials: as('worker', secrets), about: traceHeaders };
  const worker = await startWorker({
    compute: computeClient({ url: connection.compute, ...callers }),
    openStorage: (token) => storageClient({ url: connection.storage, ...callers, token }),
    ...around,
    ...{ runtime, identity },
    folder: home,
    name: options.name ?? 'standalone',
    slots: options.slots ?? { learn: 1, predict: 1, job: 1 },
    log,
    ...options.worker,
  });
  stack.use(worker);
  const opened = stack.move();
  return { ...worker, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

function as(name: keyof Secrets, secrets: Secrets): { name: string; secret: string } {
  return { name, secret: secrets[name] };
}

function clientsOf(connection: Connection) {
  const { credentials } = connection;
  return {
    storage: storageClient({ url: connection.storage, credentials }),
    compute: computeClient({ url: connection.compute, credentials }),
    orchestrator: orchestratorClient({ url: connection.orchestrator, credentials }),
  };
}
