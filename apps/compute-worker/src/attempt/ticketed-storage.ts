import { isPlatformError, PlatformError } from '@morpheo/common';
import type { CheckpointStorage } from '../beside/checkpoints.ts';
import type { InputStorage } from '../inputs/download.ts';
import type { ResultStorage } from '../outputs/stage.ts';

/** The calls of storage that an attempt makes. */
export type AttemptStorage = InputStorage & ResultStorage & CheckpointStorage;

const UNKNOWN =
  'storage-api does not know the ticket of this attempt: compute-api and storage-api need the same ticket key, --ticket-key-file.';

/** The same calls; where storage does not know the ticket that they show, the error says so, and what to do. */
export function ticketedStorage(storage: AttemptStorage, ticket: () => string | undefined): AttemptStorage {
  const told = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      const isRefused = isPlatformError(error, 'unauthenticated') && error.details.ticket !== 'expired';
      if (!isRefused || ticket() === undefined) throw error;
      throw new PlatformError('unauthenticated', UNKNOWN, { cause: error });
    }
  };
  return {
    get: async (input, call) => await told(storage.get(input, call)),
    getBlob: async (input, call) => await told(storage.getBlob(input, call)),
    getDataBlob: async (input, call) => await told(storage.getDataBlob(input, call)),
    stageResult: async (input, call) => await told(storage.stageResult(input, call)),
    putCheckpoint: async (input, call) => await told(storage.putCheckpoint(input, call)),
    getCheckpoint: async (input, call) => await told(storage.getCheckpoint(input, call)),
  };
}
