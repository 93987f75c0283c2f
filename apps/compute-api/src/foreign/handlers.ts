import {
  type Api,
  type ForeignComputeContract,
  type foreignEndpoints,
  PlatformError,
  uuid,
} from '@morpheo/common';
import type { ForeignWorkers } from '../config.ts';
import type { ComputeDatabase } from '../db/database.ts';
import { reportMessage, takeMessage } from './attempts.ts';

/** The calls of foreign workers, which take this compute-api for their orchestrator. */
export type ForeignApi = Pick<Api<ForeignComputeContract>, keyof typeof foreignEndpoints>;

/** The handlers of these calls; what they answer is the originals'. */
export function foreignHandlers(database: ComputeDatabase, foreign: ForeignWorkers): ForeignApi {
  return {
    setWorker: async ({ params: { type, uuid: given } }) => {
      const kind = type === 'learnuplet' ? 'learn' : 'predict';
      await takeMessage(database, foreign, { kind, uuid: idOf(given, 'params.uuid') });
      return { [`${type}_worker_set`]: given };
    },
    learnDone: async ({ params: { uuid: given }, body }) => {
      const ref = { kind: 'learn', uuid: idOf(given, 'params.uuid') } as const;
      if (body.status === 'failed') await reportMessage(database, foreign, ref, null);
      else {
        const { status: _status, ...performance } = body;
        await reportMessage(database, foreign, ref, { performance });
      }
      return { updated_learnuplet: given };
    },
    predDone: async ({ params: { uuid: given }, body }) => {
      const ref = { kind: 'predict', uuid: idOf(given, 'params.uuid') } as const;
      const result =
        body.status === 'failed'
          ? null
          : { uuid: idOf(body.prediction_storage_uuid, 'body.prediction_storage_uuid') };
      await reportMessage(database, foreign, ref, result);
      return { updated_preduplet: given };
    },
  };
}

/** A uuid as the platform writes it. Throws `invalid_request` for anything else. */
function idOf(given: string, where: string): string {
  const parsed = uuid.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new PlatformError('invalid_request', `${where}: should be a UUID`);
}
