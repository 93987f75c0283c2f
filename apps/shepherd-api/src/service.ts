import { defineContract, shepherdContract } from '@morpheo/common';
import { createHttpApp, type HttpServer, type ListenTls, listen } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import type { ComputeCalls, StorageCalls } from './clients.ts';
import type { Dialect, RunnerProtocol, Sheep } from './config.ts';
import type { JobStore } from './store/store.ts';

/** What shepherd-api is opened with. Whoever opened the parts closes them, after this service. */
export interface ShepherdServiceOptions {
  readonly host: string;
  readonly port: number;
  /** Names by which clients may call: see `ListenOptions`. */
  readonly hosts?: readonly string[] | undefined;
  readonly tls?: ListenTls | undefined;
  readonly dialect: Dialect;
  /** What models speak that stay warm. */
  readonly protocol: RunnerProtocol;
  /** Those of the configuration, in its order; where there are none, jobs go to any worker. */
  readonly sheep: readonly Sheep[];
  /** Where the files of jobs lie. */
  readonly store: JobStore;
  readonly compute: ComputeCalls;
  readonly storage: StorageCalls;
  /** Where compute-api reaches this service; the address that it listens at where absent. */
  readonly callbackUrl?: string | undefined;
  /** What callbacks are signed with: the same at each start. */
  readonly callbackKey: Uint8Array;
  /** How long `wait_ready` waits, in milliseconds. */
  readonly waitMs: number;
  readonly version: string;
  readonly log: Log;
  /** Shown at `/metrics`; of this service alone where absent. */
  readonly metrics?: Metrics | undefined;
  readonly tracer?: Tracer | undefined;
}

/** A shepherd-api that runs. */
export interface ShepherdService {
  readonly url: string;
  /** Takes no new request, and resolves when those under way are answered. */
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens shepherd-api. */
export async function openShepherdService(options: ShepherdServiceOptions): Promise<ShepherdService> {
  const { log, tracer, store, version, metrics = createMetrics() } = options;
  const sheep = Object.fromEntries(options.sheep.map(({ id }) => [id, IDLE]));
  const api = { getStatus: async () => ({ sheep, containers: sheep }) };
  const { getStatus } = shepherdContract.endpoints;
  const app = createHttpApp({
    contract: defineContract({ ...shepherdContract, endpoints: { getStatus } }),
    api,
    info: { name: 'shepherd-api', version },
    checks: { buckets: async (signal) => await store.ping(signal) },
    authenticate: null,
    anonymousIntake: false,
    cors: true,
    origins: ['*'],
    metrics,
    tracer,
    log,
  });
  const server: HttpServer = await listen(app, options);
  return {
    url: server.url,
    drain: async () => await server.drain(),
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
}

const IDLE = { running: false, model: { name: null, version: null }, request: null };
