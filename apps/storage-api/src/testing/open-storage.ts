import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import { openSqlite } from '@morpheo/service/database';
import { type MemoryLog, memoryLog } from '@morpheo/service/log';
import { type BlobStore, openLocalBlobStore } from '../blobs/index.ts';
import type { StorageSettings } from '../config/settings.ts';
import { type StorageDatabase, type StorageSchema, storageMigrations } from '../metadata/schema.ts';
import { createStorage, type Storage } from '../storage.ts';
import { sorted } from './requests.ts';

/** A storage in a temporary folder, with what it is made of. */
export interface TestStorage extends Storage, AsyncDisposable {
  readonly database: StorageDatabase;
  readonly blobs: BlobStore;
  readonly log: MemoryLog;
  readonly folder: string;
  /** The names of all files that hold bytes, staging included, sorted. */
  files(): Promise<string[]>;
}

/**
 * Opens an empty storage; `wrap` may put something before its blob store, and the database, a file in the folder where
 * absent, is closed with it.
 */
export async function openTestStorage(
  settings: Partial<StorageSettings> = {},
  wrap: (blobs: BlobStore) => BlobStore = (blobs) => blobs,
  given?: StorageDatabase,
): Promise<TestStorage> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(quickFolder(), 'storage-api-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const log = memoryLog();
  const database = stack.use(
    given ??
      (await openSqlite<StorageSchema>({
        file: join(folder, 'storage.db'),
        migrations: storageMigrations,
        log,
      })),
  );
  const blobs = wrap(await openLocalBlobStore({ folder }));
  const opened = stack.move();
  return {
    ...createStorage({ database, blobs, uploadsFolder: join(folder, 'uploads'), log, settings }),
    database,
    blobs,
    log,
    folder,
    files: () => filesOf(folder),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await Promise.all(
    ['blobs', 'staging'].map((place) =>
      readdir(join(folder, place), { recursive: true, withFileTypes: true }),
    ),
  );
  return sorted(entries.flat().flatMap((entry) => (entry.isFile() ? entry.name : [])));
}
