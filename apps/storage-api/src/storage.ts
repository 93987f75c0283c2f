import type { Api, StorageContract } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import { createBlobKeeper } from './blob-keeper.ts';
import type { BlobStore } from './blob-store/index.ts';
import { downloadHandlers } from './downloads.ts';
import { createStorageMeters, watchStorage } from './meters.ts';
import { patchProblemHandler } from './patch-problem.ts';
import { readHandlers } from './reads.ts';
import { createResourceStore } from './resource-store.ts';
import { resultHandlers } from './results.ts';
import type { StorageDatabase } from './schema.ts';
import { createStagedStore } from './staged-store.ts';
import type { StorageParts } from './storage-parts.ts';
import { DEFAULT_SETTINGS, type StorageSettings } from './storage-settings.ts';
import { uploadModelHandler } from './upload-model.ts';
import { uploadHandler } from './upload-things.ts';

/** What a storage is made of. It owns none of it: who opened them disposes them, after the storage's last call. */
export interface CreateStorage {
  /** Opened with `storageMigrations`. */
  readonly database: StorageDatabase;
  readonly blobs: BlobStore;
  readonly log: Log;
  readonly settings?: Partial<StorageSettings> | undefined;
  /** Where what happens is counted; nowhere where absent. */
  readonly metrics?: Metrics | undefined;
}

/** The storage API as functions, and what keeps it tidy. */
export interface Storage {
  readonly api: Api<StorageContract>;
  /** The parts that it needs, by name, each rejecting with what is wrong. */
  readonly checks: Readonly<Record<'database' | 'blobs', (signal: AbortSignal) => Promise<void>>>;
  /** Removes what nobody needs: half-written files, blobs without a row, results that nobody published. */
  sweep(signal?: AbortSignal): Promise<void>;
}

/** Makes a storage. */
export function createStorage(made: CreateStorage): Storage {
  const { database, blobs, log, settings, metrics = createMetrics() } = made;
  watchStorage(metrics, database);
  const resources = createResourceStore(database);
  const staged = createStagedStore(database);
  const keeper = createBlobKeeper(blobs, resources, { log, meters: createStorageMeters(metrics) });
  const parts: StorageParts = {
    blobs,
    keeper,
    resources,
    staged,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    log,
  };
  return {
    api: {
      ...readHandlers(parts),
      ...downloadHandlers(parts),
      ...resultHandlers(parts),
      upload: uploadHandler(parts),
      uploadModel: uploadModelHandler(parts),
      patchProblem: patchProblemHandler(parts),
    },
    checks: {
      database: (signal) => database.ping(signal),
      blobs: (signal) => blobs.ping(signal),
    },
    async sweep(signal) {
      await keeper.release(await staged.discardOlderThan(parts.settings.stagedMaxAgeMs));
      await keeper.sweep(parts.settings.orphanGraceMs, signal);
    },
  };
}
