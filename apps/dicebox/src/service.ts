import { join } from 'node:path';
import type { DiceboxDialect, PictureSetKey } from '@morpheo/common';
import type { DatabasePlace } from '@morpheo/service/database';
import { type Authenticate, type HttpServer, type ListenTls, listen } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import { openClassification } from './classification/open.ts';
import type { ClassificationOptions } from './classification/settings.ts';
import type { Peers } from './clients.ts';
import type { RouteSetName } from './config.ts';
import { openTables } from './db/tables.ts';
import { createDiceboxApp } from './http/app.ts';
import type { ApiKey } from './http/keys.ts';
import type { DiceboxParts, OpenedRoutes } from './http/route-set.ts';
import { openSensory } from './sensory/open.ts';
import { openTraining } from './training/open.ts';
import { TRAINING_DEFAULTS, type TrainingDefaults } from './training/settings.ts';

export type { Schema } from './db/schema.ts';
export { migrations } from './db/tables.ts';

/** What dicebox is opened with. Whoever opened the parts closes them, after this service. */
export interface DiceboxServiceOptions extends Peers {
  readonly host: string;
  readonly port: number;
  /** Names by which clients may call: see `ListenOptions`. */
  readonly hosts?: readonly string[] | undefined;
  readonly tls?: ListenTls | undefined;
  readonly serve: readonly RouteSetName[];
  /** Of the classification service. */
  readonly classification: ClassificationOptions;
  readonly database: DatabasePlace;
  /** The set of pictures of those that name none. */
  readonly pictureSet?: PictureSetKey | undefined;
  /** How trainings are that do not say; as `TRAINING_DEFAULTS` where absent. */
  readonly training?: TrainingDefaults | undefined;
  /** A folder of its own, for what may be lost. */
  readonly folder: string;
  readonly apiKey?: ApiKey | undefined;
  readonly apiVersion: string;
  readonly versions: ReadonlyMap<string, DiceboxDialect>;
  readonly origins?: readonly string[] | undefined;
  /** Null: every caller may do everything. */
  readonly authenticate: Authenticate | null;
  readonly version: string;
  readonly log: Log;
  /** Shown at `/metrics`; of this service alone where absent. */
  readonly metrics?: Metrics | undefined;
  readonly tracer?: Tracer | undefined;
}

/** A dicebox that runs. */
export interface DiceboxService {
  readonly url: string;
  /** Takes no new request, and resolves when those under way are answered. */
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const OPEN: Readonly<Record<RouteSetName, (parts: DiceboxParts) => Promise<OpenedRoutes>>> = {
  sensory: openSensory,
  training: openTraining,
  classification: openClassification,
};

/** Opens dicebox: the database first, the intake last, so that it closes first. */
export async function openDiceboxService(options: DiceboxServiceOptions): Promise<DiceboxService> {
  const {
    serve,
    compute,
    storage,
    pictureSet,
    training = TRAINING_DEFAULTS,
    classification,
    log,
    tracer,
    metrics = createMetrics(),
  } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openTables(options.database, log));
  const stopping = new AbortController();
  const parts = {
    ...{ database, compute, storage, pictureSet, training, classification, log, metrics, tracer },
    stopping: stopping.signal,
  };
  const opened: OpenedRoutes[] = [];
  for (const name of serve)
    opened.push(stack.use(await OPEN[name]({ ...parts, folder: join(options.folder, name) })));
  const app = createDiceboxApp({
    sets: opened.map(({ routes }) => routes),
    isSensory: serve.includes('sensory'),
    info: { name: 'dicebox', version: options.version },
    checks: Object.assign(
      {
        database: async (signal?: AbortSignal) => await database.ping(signal),
        compute: async (signal?: AbortSignal) => void (await compute.getQueue({}, { signal })),
      },
      ...opened.map(({ checks }) => checks),
    ),
    authenticate: options.authenticate,
    apiKey: options.apiKey,
    apiVersion: options.apiVersion,
    versions: options.versions,
    origins: options.origins ?? [],
    ...{ metrics, tracer, log },
  });
  const server: HttpServer = stack.use(await listen(app, options));
  // First of all: nobody waits any longer.
  stack.defer(() => stopping.abort());
  const moved = stack.move();
  return {
    url: server.url,
    async drain() {
      stopping.abort();
      await server.drain();
    },
    [Symbol.asyncDispose]: async () => await moved.disposeAsync(),
  };
}
