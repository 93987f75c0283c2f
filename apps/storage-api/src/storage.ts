import type { Api, StorageContract } from '@morpheo/common';
import { KeyedLock } from '@morpheo/common';
import { requireWritable } from '@morpheo/service/check';
import type { Callers } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import { createMetrics, type Metrics } from '@morpheo/service/metrics';
import type { BlobStore } from './blobs/index.ts';
import { createBlobKeeper } from './blobs/keeper.ts';
import { checkpointHandlers } from './checkpoints/routes.ts';
import { DEFAULT_SETTINGS, type StorageSettings } from './config/settings.ts';
import { downloadHandlers } from './downloads/downloads.ts';
import { readHandlers } from './http/resources.ts';
import { createDamageWatch } from './integrity/damage.ts';
import { type ScrubCounts, type ScrubHow, scrubBlobs } from './integrity/scrub.ts';
import { type Collected, collectGarbage } from './maintenance/gc.ts';
import type { StorageDatabase } from './metadata/schema.ts';
import { createStorageMeters, watchStorage } from './metrics.ts';
import { outputHandlers } from './outputs/routes.ts';
import type { StorageParts } from './parts.ts';
import { createPeopleDirectory } from './people/directory.ts';
import { groupHandlers, peopleHandlers } from './people/handlers.ts';
import { createPeopleRights, type FileRoles } from './people/rights.ts';
import { createPermissions } from './permissions/permissions.ts';
import { permissionHandlers } from './permissions/routes.ts';
import { pinHandlers } from './pins/routes.ts';
import { createBudgets } from './quotas/budgets.ts';
import { usageReader } from './quotas/usage.ts';
import { resultHandlers } from './results/results.ts';
import { createResumable } from './resumable/routes.ts';
import { patchProblemHandler } from './uploads/patch-problem.ts';
import { uploadHandler, uploadModelHandler } from './uploads/upload.ts';

/** What a storage is made of. It owns none of it: who opened them disposes them, after the storage's last call. */
export interface CreateStorage {
  /** Opened with `storageMigrations`. */
  readonly database: StorageDatabase;
  readonly blobs: BlobStore;
  /** Where the bytes of resumable uploads wait for their rest; made when it is needed. */
  readonly uploadsFolder: string;
  readonly log: Log;
  readonly settings?: Partial<StorageSettings> | undefined;
  /** Who may call: the people are put among them; null: nobody is asked. Absent: calls come from this process. */
  readonly callers?: Pick<Callers, 'replace' | 'rolesOf'> | null | undefined;
  /** Where what happens is counted; nowhere where absent. */
  readonly metrics?: Metrics | undefined;
}

/** The storage API as functions, and what keeps it tidy. */
export interface Storage {
  readonly api: Api<StorageContract>;
  /** The parts that it needs, by name, each rejecting with what is wrong. */
  readonly checks: Readonly<Record<'database' | 'blobs' | 'uploads', (signal: AbortSignal) => Promise<void>>>;
  /** See `PeopleDirectory.refresh`. */
  refreshPeople(): Promise<void>;
  /** Removes what nobody needs: half-written files, blobs without a row, results that nobody published. */
  sweep(signal?: AbortSignal): Promise<void>;
  /** See {@link collectGarbage}: the part of a sweep that concerns blobs, which may be tried out. */
  collect(how?: { readonly dryRun?: boolean; readonly signal?: AbortSignal | undefined }): Promise<Collected>;
  /** See {@link scrubBlobs}. */
  scrub(how?: ScrubHow): Promise<ScrubCounts>;
}

/** Makes a storage. */
export function createStorage(made: CreateStorage): Storage {
  const { database, blobs, log, settings, metrics = createMetrics(), callers } = made;
  const decided = { ...DEFAULT_SETTINGS, ...settings };
  watchStorage(metrics, database, decided.ownerMetrics);
  const observed = { log, meters: createStorageMeters(metrics) };
  const keeper = createBlobKeeper(blobs, database, observed);
  const damage = createDamageWatch(database, observed);
  const budgets = createBudgets(database, decided);
  const ofFile: FileRoles = (name) => callers?.rolesOf(name, 'file');
  const people = createPeopleRights(ofFile);
  const directory = createPeopleDirectory(database, callers ?? undefined, log);
  const permissions = createPermissions(decided, people.groupsOf);
  const parts: StorageParts = {
    ...{ database, blobs, keeper, damage, budgets, people, permissions },
    ...{ settings: decided, outputsOpen: callers === null || decided.outputs === 'open', log },
  };
  // One at a time, so that nothing is counted twice.
  const turns = new KeyedLock();
  const collect: Storage['collect'] = async (how) => {
    using _ = await turns.hold('gc');
    return await collectGarbage(parts, how);
  };
  const usageOf = usageReader(database, budgets.quotaOf);
  const resumable = createResumable(parts, made.uploadsFolder);
  return {
    api: {
      ...readHandlers(parts),
      ...downloadHandlers(parts),
      ...outputHandlers(parts),
      ...resultHandlers(parts),
      ...checkpointHandlers(parts),
      ...resumable.api,
      ...permissionHandlers(parts),
      ...pinHandlers(parts),
      ...peopleHandlers({ database, directory, ofFile }),
      ...groupHandlers({ database }),
      upload: uploadHandler(parts),
      uploadModel: uploadModelHandler(parts),
      patchProblem: patchProblemHandler(parts),
      usage: async (_, call) => await usageOf(call?.principal),
    },
    checks: {
      database: (signal) => database.ping(signal),
      blobs: (signal) => blobs.ping(signal),
      uploads: async () => void (await requireWritable(made.uploadsFolder)),
    },
    collect,
    refreshPeople: async () => await directory.refresh(),
    scrub: (how) =>
      scrubBlobs({ database, blobs, damage, meters: observed.meters, rate: decided.scrubRate, ...how }),
    async sweep(signal) {
      await collect({ signal });
      await resumable.sweep();
    },
  };
}
