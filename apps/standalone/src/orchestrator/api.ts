import { type Api, type OrchestratorContract, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import {
  type Collection,
  type Document,
  type DocumentsTx,
  documents,
  type OrchestratorSchema,
} from './documents.ts';
import { asLearnuplet, refused, startNextRank, unixSeconds } from './learnuplets.ts';
import { submissionHandlers } from './submissions.ts';

/** How the collections are called in the answer of a list. */
const PLURALS = {
  problem: 'problems',
  algo: 'algos',
  data: 'datas',
  learnuplet: 'learnuplets',
  preduplet: 'preduplets',
} as const satisfies Record<Collection, string>;

/**
 * The handlers of the stand-in orchestrator; `wake` is called when there may be an order to post.
 * Source: wire format, "Callbacks worker → orchestrator, and the orchestrator API".
 */
export function createOrchestratorApi(
  database: Database<OrchestratorSchema>,
  wake: () => void,
): Api<OrchestratorContract> {
  return {
    ...submissionHandlers(database, wake),
    ...callbackHandlers(database, wake),
    list: async ({ params, query }) => ({
      [PLURALS[params.collection]]: await documents.list(database.read, params.collection, query),
    }),
    get: async ({ params }) => {
      const document = await documents.find(database.read, params.collection, params.uuid);
      if (document === undefined) {
        throw new PlatformError('not_found', `There is no ${params.collection} ${params.uuid}.`);
      }
      return document;
    },
  };
}

/** The handlers by which compute-api reports orders. A call that changes nothing is 400, as in the original. */
function callbackHandlers(
  database: Database<OrchestratorSchema>,
  wake: () => void,
): Pick<Api<OrchestratorContract>, 'setWorker' | 'learnDone' | 'predDone'> {
  return {
    setWorker: async ({ params: { type, uuid }, body }) => {
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
        const ended = await recordEnd(tx, 'learnuplet', params.uuid, body);
        if (body.status === 'done') await startNextRank(tx, asLearnuplet(ended));
      });
      wake();
      return { updated_learnuplet: params.uuid };
    },

    predDone: async ({ params, body }) => {
      await database.write(async (tx) => await recordEnd(tx, 'preduplet', params.uuid, body));
      return { updated_preduplet: params.uuid };
    },
  };
}

async function recordEnd(
  tx: DocumentsTx,
  collection: 'learnuplet' | 'preduplet',
  uuid: string,
  report: { readonly status: string },
): Promise<Document> {
  const order = await documents.find(tx, collection, uuid);
  if (order === undefined || order.status === report.status)
    throw refused(`no update of ${collection} ${uuid}`);
  const ended = { ...order, ...report, timestamp_done: unixSeconds() };
  await documents.replace(tx, collection, ended);
  return ended;
}
