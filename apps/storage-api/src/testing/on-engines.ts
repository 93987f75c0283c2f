import { onEngines } from '@morpheo/service/database/testing';
import test, { type ExecutionContext } from 'ava';
import type { BlobStore } from '../blobs/index.ts';
import type { StorageSettings } from '../config/settings.ts';
import { type StorageSchema, storageMigrations } from '../metadata/schema.ts';
import { openTestStorage, type TestStorage } from './open-storage.ts';

/** Opens an empty storage; see {@link openTestStorage}. */
export type OpenTestStorage = (
  settings?: Partial<StorageSettings>,
  wrap?: (blobs: BlobStore) => BlobStore,
) => Promise<TestStorage>;

const everywhere = onEngines<StorageSchema>(test, { owner: 'storage_api', migrations: storageMigrations });

/** Registers a test for each engine that the machine has; the test opens its storage by what it is given. */
export function testOnEngines(
  title: string,
  run: (t: ExecutionContext, openTestStorage: OpenTestStorage, engine: string) => Promise<void>,
): void {
  everywhere(
    title,
    async (t, engine) =>
      await run(
        t,
        async (settings, wrap) => {
          await using stack = new AsyncDisposableStack();
          const place = stack.use(await engine.place());
          const storage = stack.use(await openTestStorage(settings, wrap, await place.open()));
          const opened = stack.move();
          return { ...storage, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
        },
        engine.name,
      ),
  );
}
