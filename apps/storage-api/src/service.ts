import { join } from 'node:path';
import { storageContract } from '@morpheo/common';
import { type DatabasePlace, openDatabase } from '@morpheo/service/database';
import {
  type Callers,
  checksOf,
  createHttpApp,
  type ListenTls,
  listen,
  type RateLimits,
  type VerifyTicket,
  type Warn,
} from '@morpheo/service/http';
import { startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import { type BlobLocation, openBlobStore } from './blobs/index.ts';
import { DEFAULT_SETTINGS, type StorageSettings } from './config/settings.ts';
import { scrubLoop } from './integrity/scrub.ts';
import { type StorageDatabase, type StorageSchema, storageMigrations } from './metadata/schema.ts';
import { PEOPLE_CHANNEL } from './people/directory.ts';
import { createStorage, type Storage } from './storage.ts';

/** How often the service tidies up. */
const SWEEP_EVERY_MS = 600_000;

/** How often the people are read again: another storage-api may have changed them, and its word be lost. */
const PEOPLE_EVERY_MS = 10_000;

/** The name of the embedded database in the data folder. */
export const DATABASE_FILE = 'storage.db';

/** The name of the folder in the data folder where the bytes of resumable uploads wait for their rest. */
export const UPLOADS_FOLDER = 'uploads';

/** Who owns the schema on a server that others may share. */
export const DATABASE_OWNER = 'storage_api';

/** What storage-api is opened with. */
export interface StorageServiceOptions {
  readonly host: string;
  /** 0 for any. */
  readonly port: number;
  /** Names by which clients may call: see `ListenOptions`. */
  readonly hosts?: readonly string[] | undefined;
  readonly tls?: ListenTls | undefined;
  /** The folder of the database, and of the bytes by default: made where there is none, held by this process alone. */
  readonly dataFolder: string;
  /** Where the bytes are kept; in the data folder where absent. */
  readonly blobs?: BlobLocation | undefined;
  /** Where the rows are; a file of the data folder where absent. On PostgreSQL several services may share them. */
  readonly database?: DatabasePlace | undefined;
  /** Who may call beside the people, who are put among them. Null: every caller may do everything. */
  readonly callers: Callers | null;
  /** How often the people are read again at the latest, in milliseconds; 10,000 where absent. */
  readonly peopleEveryMs?: number | undefined;
  /** Knows attempts by their tickets; nobody where absent. */
  readonly tickets?: VerifyTicket | undefined;
  /** What `/ready` warns of beside its own parts, by name. */
  readonly warnings?: Readonly<Record<string, Warn>> | undefined;
  /** The origins whose pages may use credentials that the browser keeps; none where absent. */
  readonly origins?: readonly string[] | undefined;
  /** What one client may ask; anything where absent. */
  readonly rateLimits?: RateLimits | undefined;
  readonly settings?: Partial<StorageSettings> | undefined;
  readonly version: string;
  readonly log: Log;
  /** Shown at `/metrics`; of this service alone where absent. */
  readonly metrics?: Metrics | undefined;
  /** Where spans go; nowhere where absent. Whoever opened it closes it, after this service. */
  readonly tracer?: Tracer | undefined;
}

/** A storage-api that runs. */
export interface StorageService extends Pick<Storage, 'api' | 'sweep' | 'scrub' | 'collect'> {
  readonly url: string;
  /** Takes no new request, and resolves when those under way are answered. */
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens storage-api: the database first, which holds the folder against a second process, and the intake when all that
 * answers is there, so that it closes before. What a process that died here left half-written is removed before anybody
 * is answered; what else nobody needs, afterwards.
 */
export async function openStorageService(options: StorageServiceOptions): Promise<StorageService> {
  const { dataFolder, log, settings, tracer, warnings = {}, metrics = createMetrics() } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(
    await openDatabase<StorageSchema>(
      options.database ?? { engine: 'sqlite', file: join(dataFolder, DATABASE_FILE) },
      { owner: DATABASE_OWNER, migrations: storageMigrations, log },
    ),
  );
  const location = options.blobs ?? { kind: 'local', folder: dataFolder };
  const blobs = stack.use(await openBlobStore(location, { shared: database.engine === 'postgres', log }));
  // In a folder that the file of the database holds nobody else writes; elsewhere others may, and what is left
  // half-written is swept when it is old.
  const alone = location.kind === 'local' && database.engine === 'sqlite';
  const swept = alone ? await blobs.sweep(0) : { files: 0 };
  if (swept.files > 0) log.info({ ...swept }, 'removed what the process before left half-written');
  const storage = createStorage({
    database,
    blobs,
    uploadsFolder: join(dataFolder, UPLOADS_FOLDER),
    log,
    settings,
    metrics,
    callers: options.callers,
  });
  stack.use(await followPeople(database, storage, { everyMs: options.peopleEveryMs, log }));
  const app = createHttpApp({
    contract: storageContract,
    api: storage.api,
    info: { name: 'storage-api', version: options.version },
    checks: { ...storage.checks, ...checksOf(warnings) },
    warnings,
    authenticate: options.callers?.authenticate ?? null,
    tickets: options.tickets,
    anonymousIntake: false,
    rateLimits: options.rateLimits,
    metrics,
    tracer,
    cors: true,
    origins: options.origins,
    log,
  });
  const server = stack.use(await listen(app, options));
  // Nobody waits for it: what is looked through grows with all that is kept.
  stack.use(
    startLoop({ name: 'sweep', everyMs: SWEEP_EVERY_MS, log, work: (signal) => storage.sweep(signal) }),
  );
  const { scrubEveryMs = DEFAULT_SETTINGS.scrubEveryMs } = settings ?? {};
  if (scrubEveryMs !== null) stack.use(scrubLoop(storage.scrub, scrubEveryMs, log));
  const opened = stack.move();
  return {
    api: storage.api,
    sweep: storage.sweep,
    scrub: storage.scrub,
    collect: storage.collect,
    url: server.url,
    drain: () => server.drain(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Lets in the people of the database, now and whenever they change. */
async function followPeople(
  database: StorageDatabase,
  storage: Pick<Storage, 'refreshPeople'>,
  { everyMs = PEOPLE_EVERY_MS, log }: { readonly everyMs: number | undefined; readonly log: Log },
): Promise<AsyncDisposable> {
  await storage.refreshPeople();
  const loop = startLoop({ name: 'people', everyMs, log, work: () => storage.refreshPeople() });
  const look = () => loop.wake();
  const heard = database.listen(PEOPLE_CHANNEL, look, look);
  return {
    async [Symbol.asyncDispose]() {
      heard[Symbol.dispose]();
      await loop[Symbol.asyncDispose]();
    },
  };
}
