import { computeClient, orchestratorClient, storageClient } from '@morpheo/client';
import { type Contract, computeContract, foreignComputeContract } from '@morpheo/common';
import type { Broker } from '@morpheo/service/broker';
import { type DatabasePlace, openDatabase } from '@morpheo/service/database';
import {
  type Callers,
  type Check,
  checksOf,
  createHttpApp,
  followDirectory,
  type HttpApp,
  type HttpServer,
  type ListenTls,
  listen,
  type RateLimits,
  type ServeOptions,
  type SignInstance,
  type SignTicket,
  type StreamLimits,
  type VerifyTicket,
  type Warn,
} from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import { type Tracer, traceHeaders } from '@morpheo/service/trace';
import type { ReachInstance } from './calls/instances.ts';
import { type Compute, startCompute } from './compute.ts';
import type { ComputeSettings } from './config.ts';
import { migrations } from './db/migrations.ts';
import type { Schema } from './db/schema.ts';
import { orOriginalStorage } from './foreign/storage.ts';

/** Where another service is, and who we are to it. */
export interface Peer {
  readonly url: string;
  readonly credentials?: { readonly name: string; readonly secret: string } | undefined;
}

/** The embedded database's file in the data folder, and who owns the schema on a server. */
export const DATABASE = { file: 'compute.db', owner: 'compute_api' } as const;

/** How storage-api's directory of people is followed. */
export interface DirectorySettings {
  /** The longest pause between two looks at it, in milliseconds. */
  readonly everyMs: number;
  /** The file that keeps the last copy; none is kept where absent. */
  readonly copy: string | undefined;
}

/** What compute-api is opened with. */
export interface ComputeServiceOptions {
  readonly host: string;
  readonly port: number;
  /** Names by which clients may call: see `ListenOptions`. */
  readonly hosts?: readonly string[] | undefined;
  readonly tls?: ListenTls | undefined;
  /** On PostgreSQL any number of compute-apis may share one database. */
  readonly database: DatabasePlace;
  /** Wakes workers; whoever opened it closes it, after this service. */
  readonly broker: Broker;
  readonly storage: Peer;
  /** Absent: nobody is told how orders end. */
  readonly orchestrator?: Peer | undefined;
  /** Signs what workers show to storage; absent: they show their own credentials. */
  readonly signTicket?: SignTicket | undefined;
  /** Signs, and checks, what compute-apis show to one another; absent: nothing is shown. */
  readonly instances?: { readonly sign: SignInstance; readonly verify: VerifyTicket } | undefined;
  /** Null: every caller may do everything. */
  readonly callers: Callers | null;
  /** How the people of storage-api are put among the callers; not at all where absent. */
  readonly directory?: DirectorySettings | undefined;
  /** Whether `/learn` and `/pred` are open to callers without credentials, as in the original. */
  readonly anonymousIntake: boolean;
  /** What one client may ask; anything where absent. */
  readonly rateLimits?: RateLimits | undefined;
  /** How many live streams may be open; a hundred of one caller, 2,000 in all where absent. */
  readonly streamLimits?: StreamLimits | undefined;
  /** Further parts that `/ready` asks, by name. */
  readonly checks?: Readonly<Record<string, Check>> | undefined;
  /** What it warns of beside, by name. */
  readonly warnings?: Readonly<Record<string, Warn>> | undefined;
  readonly settings: ComputeSettings;
  readonly version: string;
  readonly log: Log;
  /** Shown at `/metrics`; of this service alone where absent. */
  readonly metrics?: Metrics | undefined;
  /** Where spans go; nowhere where absent. Whoever opened it closes it, after this service. */
  readonly tracer?: Tracer | undefined;
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
  const { broker, log, settings, tracer, warnings = {}, metrics = createMetrics() } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(
    await openDatabase<Schema>(options.database, { owner: DATABASE.owner, migrations, log }),
  );
  const orchestrator =
    options.orchestrator === undefined
      ? undefined
      : orchestratorClient({ ...options.orchestrator, about: traceHeaders });
  const storage = storageClient({ ...options.storage, about: traceHeaders });
  const compute = stack.use(
    startCompute({
      ...{ database, broker, orchestrator, settings, log, metrics, tracer },
      storage:
        settings.foreignWorkers === undefined ? storage : orOriginalStorage(storage, options.storage, log),
      signTicket: options.signTicket,
      askByTicket: (ticket) =>
        storageClient({ url: options.storage.url, token: () => ticket, about: traceHeaders }),
      reachInstance: instanceReacher(options.instances?.sign),
    }),
  );
  const { callers } = options;
  const directory =
    callers === null || options.directory === undefined
      ? undefined
      : stack.use(
          await followDirectory({
            ...{ ...options.directory, callers, metrics, log },
            ask: async (input, call) => await storage.getDirectory(input, call),
          }),
        );
  const app = appOf(compute, {
    info: { name: 'compute-api', version: options.version },
    checks: {
      database: async (signal) => await database.ping(signal),
      broker: async (signal) => await broker.ping(signal),
      storage: async () => await compute.checkEffects('storage'),
      ...(orchestrator === undefined
        ? {}
        : { orchestrator: async () => await compute.checkEffects('orchestrator') }),
      ...options.checks,
      ...checksOf(warnings),
      ...(directory === undefined ? {} : { directory: async () => await directory.check() }),
    },
    warnings,
    authenticate: callers?.authenticate ?? null,
    tickets: options.instances?.verify,
    anonymousIntake: options.anonymousIntake,
    rateLimits: options.rateLimits,
    streamLimits: options.streamLimits,
    metrics,
    tracer,
    untraced: ['registerWorker', 'claimOrder', 'renewLeases', 'exchangeCalls', 'relayCalls'],
    log,
  });
  const server: HttpServer = stack.use(await listen(app, options));
  const opened = stack.move();
  return {
    url: server.url,
    drain: async () => {
      compute.endCalls();
      await server.drain();
    },
    [Symbol.asyncDispose]: async () => {
      compute.endCalls();
      await opened.disposeAsync();
    },
  };
}

/** Serves the API; with the calls of foreign workers where orders are for them. */
function appOf(
  { api, foreign }: Compute,
  options: Omit<ServeOptions<Contract>, 'contract' | 'api'>,
): HttpApp {
  if (foreign === undefined) return createHttpApp({ ...options, contract: computeContract, api });
  return createHttpApp({ ...options, contract: foreignComputeContract, api: { ...api, ...foreign } });
}

/** Other compute-apis, to which this one shows that it is one where `sign` is there. */
function instanceReacher(sign: SignInstance | undefined): ReachInstance {
  return (url) => {
    let token: string | undefined;
    const client = computeClient({ url, token: () => token });
    return {
      relayCalls: async (input, call) => {
        token = await sign?.();
        return await client.relayCalls(input, call);
      },
    };
  };
}
