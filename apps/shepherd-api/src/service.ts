import {
  PlatformError,
  type RunnerProtocol,
  type RunnerView,
  type ShepherdContract,
  shepherdContract,
  shepherdContract04,
  sleep,
} from '@morpheo/common';
import {
  createHttpApp,
  type HttpApp,
  type HttpServer,
  isLoopback,
  type ListenTls,
  listen,
  type ServeOptions,
} from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Sheep } from '@morpheo/service/shepherd';
import type { Tracer } from '@morpheo/service/trace';
import { type ComputeCalls, callPeer, type StorageCalls } from './clients.ts';
import type { Dialect } from './config.ts';
import { type HandlerParts, handlers04, handlers05 } from './http/handlers.ts';
import { CallbackTokens } from './jobs/ids.ts';
import { Jobs } from './jobs/jobs.ts';
import { callbackKey, Intents, payloadFolder } from './jobs/own-folder.ts';
import { markerRecord, statusRecord } from './jobs/record.ts';
import { Starts } from './jobs/starts.ts';
import type { Models } from './models/models.ts';
import { Flock } from './models/sheep.ts';
import type { JobStore } from './store/store.ts';

/** How often those who wait for an end ask by themselves, in milliseconds. */
const ASK_MS = 5000;

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
  /** What this service keeps itself: the key of callbacks, and which jobs are being started. The same at each start. */
  readonly folder: string;
  /** What models are. */
  readonly models: Models;
  /** How long `wait_ready` waits, in milliseconds. */
  readonly waitMs: number;
  /** How often it asks by itself meanwhile, in milliseconds; 5,000 where absent. */
  readonly askMs?: number | undefined;
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

/** Opens shepherd-api: the intake last, so that it closes first. */
export async function openShepherdService(options: ShepherdServiceOptions): Promise<ShepherdService> {
  const {
    log,
    tracer,
    store,
    compute,
    models,
    dialect,
    version,
    folder,
    metrics = createMetrics(),
  } = options;
  await using stack = new AsyncDisposableStack();
  const stopping = new AbortController();
  const own = { address: options.callbackUrl?.replace(/\/+$/, '') ?? '' };
  const record = dialect === '0.5' ? statusRecord(store) : markerRecord(store);
  const flock = new Flock(options.sheep);
  const parts = {
    ...{ store, compute, storage: options.storage, models, record, flock, log },
    tokens: new CallbackTokens(await callbackKey(folder)),
    intents: await Intents.open(folder),
    protocol: options.protocol,
    callbackUrl: () => own.address,
    labels: { 'shepherd.dialect': dialect },
    ...{ waitMs: options.waitMs, askMs: options.askMs ?? ASK_MS },
  };
  const jobs = new Jobs(parts);
  const app = appOf(dialect, {
    ...{ jobs, starts: new Starts(parts), store, stopping: stopping.signal },
    folder: await payloadFolder(folder),
    sheep: async () => flock.status(await runnersOf(compute, log), models),
  })({
    info: { name: 'shepherd-api', version },
    checks: {
      buckets: async (signal) => await store.ping(signal),
      compute: async (signal) => void (await compute.getQueue({}, { signal })),
    },
    authenticate: null,
    anonymousIntake: false,
    cors: true,
    origins: ['*'],
    ...{ metrics, tracer, log },
  });
  const server: HttpServer = stack.use(await listen(app, options));
  if (!isLoopback(options.host))
    log.warn({ host: options.host }, 'Whoever reaches this address may start jobs');
  own.address ||= addressOf(server.url);
  stack.use(sweeping(jobs, { signal: stopping.signal, log, askMs: parts.askMs }));
  // First of all: nobody waits any longer.
  stack.defer(() => stopping.abort(stopped()));
  const opened = stack.move();
  return {
    url: server.url,
    async drain() {
      stopping.abort(stopped());
      await server.drain();
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** Serves the dialect that is spoken. */
function appOf(dialect: Dialect, parts: HandlerParts) {
  return (options: Omit<ServeOptions<ShepherdContract>, 'contract' | 'api'>): HttpApp =>
    dialect === '0.5'
      ? createHttpApp({ ...options, contract: shepherdContract, api: handlers05(parts) })
      : createHttpApp({ ...options, contract: shepherdContract04, api: handlers04(parts) });
}

/** What workers keep warm; nothing where that cannot be asked: it is shown, and nothing depends on it. */
async function runnersOf(compute: ComputeCalls, log: Log): Promise<RunnerView[]> {
  try {
    return (await callPeer(async (signal) => await compute.listRunners({}, { signal }))).items;
  } catch (error) {
    log.warn({ error }, 'What the sheep do cannot be asked');
    return [];
  }
}

/** Brings buckets up to date that fell behind while this service was away; again after a while where that cannot be done. */
function sweeping(
  jobs: Jobs,
  { signal, log, askMs }: { signal: AbortSignal; log: Log; askMs: number },
): AsyncDisposable {
  const sweep = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        return await jobs.sweep(signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn(
          { error },
          'Not all jobs could be looked at; it is tried again, and each is when it is asked for',
        );
        await sleep(askMs, signal).catch(() => undefined);
      }
    }
  };
  const swept = sweep();
  return { [Symbol.asyncDispose]: async () => await swept };
}

/** Where this service is reached from its own machine. */
function addressOf(url: string): string {
  const address = new URL(url);
  if (address.hostname === '0.0.0.0' || address.hostname === '[::]') address.hostname = '127.0.0.1';
  return address.origin;
}

function stopped(): PlatformError {
  return new PlatformError('unavailable', 'This service is stopping; try again in a moment.');
}
