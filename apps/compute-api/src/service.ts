import { orchestratorClient, storageClient } from '@morpheo/client';
import { computeContract } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import { openSqlite } from '@morpheo/service/database';
import {
  type Authenticate,
  createHttpApp,
  createMetrics,
  type HttpServer,
  listen,
} from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { type ComputeSettings, startCompute } from './compute.ts';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';

/** Where another service is, and who we are to it. */
export interface Peer {
  readonly url: string;
  readonly credentials?: { readonly name: string; readonly secret: string } | undefined;
}

/** What compute-api is opened with. */
export interface ComputeServiceOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** The file of the embedded database. */
  readonly databaseFile: string;
  /** Wakes workers; whoever opened it closes it, after this service. */
  readonly broker: Broker;
  readonly storage: Peer;
  /** Absent: nobody is told how orders end. */
  readonly orchestrator?: Peer | undefined;
  /** Null: every caller may do everything. */
  readonly authenticate: Authenticate | null;
  /** Whether `/learn` and `/pred` are open to callers without credentials, as in the original. */
  readonly anonymousIntake: boolean;
  readonly settings: ComputeSettings;
  readonly version: string;
  readonly log: Log;
}

/** A compute-api that runs. */
export interface ComputeService {
  readonly url: string;
  /** Takes no new request, and resolves when those under way are answered. */
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens compute-api: the database first, the intake last, so that it closes first. */
export async function openComputeService(options: ComputeServiceOptions): Promise<ComputeService> {
  const { broker, log, settings } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openSqlite<Schema>({ file: options.databaseFile, migrations, log }));
  const orchestrator =
    options.orchestrator === undefined ? undefined : orchestratorClient(options.orchestrator);
  const storage = storageClient(options.storage);
  const compute = stack.use(startCompute({ database, broker, storage, orchestrator, settings, log }));
  const app = createHttpApp({
    contract: computeContract,
    api: compute.api,
    info: { name: 'compute-api', version: options.version },
    checks: {
      database: async (signal) => await database.ping(signal),
      broker: async (signal) => await broker.ping(signal),
      storage: async () => await compute.checkEffects('storage'),
      ...(orchestrator === undefined
        ? {}
        : { orchestrator: async () => await compute.checkEffects('orchestrator') }),
    },
    authenticate: options.authenticate,
    anonymousIntake: options.anonymousIntake,
    metrics: createMetrics(),
    log,
  });
  const server: HttpServer = stack.use(await listen(app, options));
  const opened = stack.move();
  return {
    url: server.url,
    drain: async () => await server.drain(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
