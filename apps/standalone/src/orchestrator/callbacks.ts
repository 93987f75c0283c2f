import { type Api, type OrchestratorContract, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { documents, type OrchestratorSchema } from './documents.ts';
import { asLearnuplet, startNextRank, unixSeconds } from './learnuplets.ts';

type Handlers = Pick<Api<OrchestratorContract>, 'setWorker' | 'learnDone' | 'predDone'>;

/** The handlers that hear what becomes of orders. A call that changes nothing is 400, as in the original. */
export function callbackHandlers(database: Database<OrchestratorSchema>, wake: () => void): Handlers {
  return {
    setWorker: async ({ params, body }) => {
      const { type, uuid } = params;
      await database.write(async (tx) => {
        const uplet = await documents.find(tx, type, uuid);
        if (uplet === undefined || uplet.status !== 'todo') {
          throw refused(`worker not set for ${type} ${uuid}. Might be already pending`);
        }
        await documents.replace(tx, type, { ...uplet, worker: body.worker, status: 'pending' });
      });
      return { [`${type}_worker_set`]: uuid };
    },

    learnDone: async ({ params, body }) => {
      await database.write(async (tx) => {
        const found = await documents.find(tx, 'learnuplet', params.uuid);
        if (found === undefined || found.status === body.status) {
          throw refused(`no update of learnuplet ${params.uuid}`);
        }
        const updated = { ...found, ...body, timestamp_done: unixSeconds() };
        await documents.replace(tx, 'learnuplet', updated);
        if (body.status === 'done') await startNextRank(tx, asLearnuplet(updated));
      });
      wake();
      return { updated_learnuplet: params.uuid };
    },

    predDone: async ({ params, body }) => {
      await database.write(async (tx) => {
        const found = await documents.find(tx, 'preduplet', params.uuid);
        if (found === undefined || found.status === body.status) {
          throw refused(`no update of preduplet ${params.uuid}`);
        }
        await documents.replace(tx, 'preduplet', { ...found, ...body, timestamp_done: unixSeconds() });
      });
      return { updated_preduplet: params.uuid };
    },
  };
}

function refused(text: string): PlatformError {
  return new PlatformError('invalid_request', text);
}
