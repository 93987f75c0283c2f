import { type Api, type OrchestratorContract, PlatformError } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { callbackHandlers } from './callbacks.ts';
import { type Collection, documents, type OrchestratorSchema } from './documents.ts';
import { intakeHandlers } from './intake.ts';

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
    ...callbackHandlers(database, wake),
    ...intakeHandlers(database, wake),
    list: async ({ params, query }) => ({
      [PLURALS[params.collection]]: await documents.list(database.read, params.collection, query),
    }),
    get: async ({ params }) => {
      const found = await documents.find(database.read, params.collection, params.uuid);
      if (found === undefined) {
        throw new PlatformError('not_found', `There is no ${params.collection} ${params.uuid}.`);
      }
      return found;
    },
  };
}
