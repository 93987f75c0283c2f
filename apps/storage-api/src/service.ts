import { join } from 'node:path';
import { storageContract } from '@morpheo/common';
import { openSqlite } from '@morpheo/service/database';
import { type Authenticate, createHttpApp, createMetrics, listen } from '@morpheo/service/http';
import { startLoop } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import { openLocalBlobStore } from './blob-store/index.ts';
import { type StorageSchema, storageMigrations } from './schema.ts';
import { createStorage, type Storage } from './storage.ts';
import type { StorageSettings } from './storage-settings.ts';

/** How often the service tidies up. */
const SWEEP_EVERY_MS = 600_000;

/** What storage-api is opened with. */
export interface StorageServiceOptions {
  readonly host: string;
  /** 0 for any. */
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** The folder of the database and of the bytes: made where there is none, held by this process alone. */
  readonly dataFolder: string;
  /** Null: every caller may do everything. */
  readonly authenticate: Authenticate | null;
  /** The origins whose pages may use credentials that the browser keeps; none where absent. */
  readonly origins?: readonly string[] | undefined;
  readonly settings?: Partial<StorageSettings> | undefined;
  readonly version: string;
  readonly log: Log;
}

/** A storage-api that runs. */
export interface StorageService extends Pick<Storage, 'api' | 'sweep'> {
  readonly url: string;
  /** Takes no new request, and resolves when those under way are answered. */
  drain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens storage-api: the database first, which holds the folder against a second process, the intake last, so that it
 * closes first. What a process that died here left half-written is removed before anybody is answered.
 */
export async function openStorageService(options: StorageServiceOptions): Promise<StorageService> {
  const { dataFolder, log, settings } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(
    await openSqlite<StorageSchema>({
      file: join(dataFolder, 'storage.db'),
      migrations: storageMigrations,
      log,
    }),
  );
  const blobs = await openLocalBlobStore({ folder: dataFolder });
  const swept = await blobs.sweep(0);
  if (swept.files > 0) log.info({ ...swept }, 'removed what the process before left half-written');
  const storage = createStorage({ database, blobs, log, settings });
  stack.use(
    startLoop({ name: 'sweep', everyMs: SWEEP_EVERY_MS, log, work: (signal) => storage.sweep(signal) }),
  );
  const app = createHttpApp({
    contract: storageContract,
    api: storage.api,
    info: { name: 'storage-api', version: options.version },
    checks: storage.checks,
    authenticate: options.authenticate,
    anonymousIntake: false,
    metrics: createMetrics(),
    cors: true,
    origins: options.origins,
    log,
  });
  const server = stack.use(await listen(app, options));
  const opened = stack.move();
  return {
    api: storage.api,
    sweep: storage.sweep,
    url: server.url,
    drain: () => server.drain(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
