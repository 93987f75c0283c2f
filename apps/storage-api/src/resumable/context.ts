import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { StorageDatabase } from '../schema.ts';
import type { StorageParts } from '../storage-parts.ts';
import type { UploadStore } from './upload-store.ts';

/** What the routes of resumable uploads work with. */
export interface UploadContext {
  readonly parts: StorageParts;
  readonly database: StorageDatabase;
  readonly uploads: UploadStore;
  /** Where the bytes wait for their rest. */
  readonly folder: string;
  /** Runs work on an upload while nobody else does. Throws `locked`, at once, where somebody does. */
  readonly alone: <T>(id: string, work: () => Promise<T>) => Promise<T>;
}

/** The file of an upload. */
export function fileOf({ folder }: UploadContext, id: string): string {
  return join(folder, id);
}

/** Lets one work at a time have a key, and refuses the others. */
export function oneAtATime(): UploadContext['alone'] {
  const busy = new Set<string>();
  return async (id, work) => {
    if (busy.has(id)) {
      throw new PlatformError('locked', 'Another request is working on this upload: try again in a moment.');
    }
    busy.add(id);
    try {
      return await work();
    } finally {
      busy.delete(id);
    }
  };
}
