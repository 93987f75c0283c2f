import type { Api, StorageContract } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import { createBlobKeeper } from './blob-keeper.ts';
import type { BlobStore } from './blob-store/index.ts';
import { createKeyedLock } from './blob-store/keyed-lock.ts';
import { createDamageWatch } from './damage/damage-watch.ts';
import { createDamagedBlobs } from './damage/damaged-blobs.ts';
import { type ScrubCounts, type ScrubHow, scrubBlobs } from './damage/scrub.ts';
import { downloadHandlers } from './downloads.ts';
import { createAllowances } from './ledger/allowances.ts';
import { readUsage } from './ledger/usage.ts';
import { type Collected, collectGarbage } from './maintenance/gc.ts';
import { createStorageMeters, watchStorage } from './meters.ts';
import { patchProblemHandler } from './patch-problem.ts';
import { readHandlers } from './reads.ts';
import { createResourceStore } from './resource-store.ts';
import { resultHandlers } from './results.ts';
import { createResumable } from './resumable/resumable.ts';
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
  /** Where the bytes of resumable uploads wait for their rest; made when it is needed. */
  readonly uploadsFolder: string;
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
  /** See {@link collectGarbage}: the part of a sweep that concerns blobs, which may be tried out. */
  collect(how?: { readonly dryRun?: boolean; readonly signal?: AbortSignal | undefined }): Promise<Collected>;
  /** See {@link scrubBlobs}. */
  scrub(how?: ScrubHow): Promise<ScrubCounts>;
}

/** Makes a storage. */
export function createStorage(made: CreateStorage): Storage {
  const { database, blobs, log, settings, metrics = createMetrics() } = made;
  const resources = createResourceStore(database);
  const staged = createStagedStore(database);
  const decided = { ...DEFAULT_SETTINGS, ...settings };
  watchStorage(metrics, database, decided.ownerMetrics);
  const told = { log, meters: createStorageMeters(metrics) };
  const damaged = createDamagedBlobs(database);
  const keeper = createBlobKeeper(blobs, { ...damaged, hasBlob: resources.hasBlob }, told);
  const damage = createDamageWatch(damaged, told);
  const parts: StorageParts = {
    blobs,
    keeper,
    resources,
    staged,
    damage,
    allowances: createAllowances(database, decided),
    settings: decided,
    log,
  };
  // One at a time, so that nothing is counted twice.
  const turns = createKeyedLock();
  const collect: Storage['collect'] = (how) =>
    turns.run('gc', () => collectGarbage({ keeper, staged, settings: decided, log }, how));
  const resumable = createResumable(parts, { database, folder: made.uploadsFolder });
  return {
    api: {
      ...readHandlers(parts),
      ...downloadHandlers(parts),
      ...resultHandlers(parts),
      ...resumable.api,
      upload: uploadHandler(parts),
      uploadModel: uploadModelHandler(parts),
      patchProblem: patchProblemHandler(parts),
      usage: async (_, call) => await readUsage(database, call?.principal, parts.allowances.quotaOf),
    },
    checks: {
      database: (signal) => database.ping(signal),
      blobs: (signal) => blobs.ping(signal),
    },
    collect,
    scrub: (how) =>
      scrubBlobs({ database, blobs, damaged, damage, meters: told.meters, rate: decided.scrubRate, ...how }),
    async sweep(signal) {
      await collect({ signal });
      await resumable.sweep();
    },
  };
}
