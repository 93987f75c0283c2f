import { randomUUID } from 'node:crypto';
import { type Api, isUuid, type OrchestratorContract } from '@morpheo/common';
import type { Database } from '@morpheo/service/database';
import { type Document, type DocumentsTx, documents, type OrchestratorSchema } from './documents.ts';
import {
  addLearnuplets,
  asLearnuplet,
  bestOf,
  findProblem,
  type LearnupletDocument,
  type Problem,
  refused,
  unixSeconds,
} from './learnuplets.ts';

/** The handlers by which problems, algorithms, data and predictions are submitted, from which orders follow. */
export function submissionHandlers(
  database: Database<OrchestratorSchema>,
  wake: () => void,
): Pick<Api<OrchestratorContract>, 'postProblem' | 'postAlgo' | 'postData' | 'postPrediction'> {
  return {
    postProblem: async ({ body }) => {
      const document = { ...body, timestamp_upload: unixSeconds() };
      await database.write(async (tx) => await addNew(tx, 'problem', document));
      return { new_problem: document };
    },

    postAlgo: async ({ body }) => {
      const document = { ...body, timestamp_upload: unixSeconds() };
      const count = await database.write(async (tx) => {
        const problem = await knownProblem(tx, body.problem);
        await addNew(tx, 'algo', document);
        const data = await trainingData(tx, problem);
        return await addLearnuplets(tx, problem, body.uuid, data, { rank: 0, modelStart: body.uuid });
      });
      wake();
      return { new_algo: document, new_learnuplets: count };
    },

    postData: async ({ body }) => {
      const ids = typeof body.uuid === 'string' ? [body.uuid] : body.uuid;
      const added = ids.map((uuid) => ({ uuid, problems: body.problems, timestamp_upload: unixSeconds() }));
      const count = await database.write(async (tx) => {
        const problems = await Promise.all(body.problems.map(async (uuid) => await knownProblem(tx, uuid)));
        for (const document of added) await addNew(tx, 'data', document);
        let learnuplets = 0;
        for (const problem of problems) learnuplets += await continueChains(tx, problem, ids);
        return learnuplets;
      });
      wake();
      return { new_datas: added, new_learnuplets: count };
    },

    postPrediction: async ({ body }) => {
      if (!isUuid(body.data)) throw refused('data field should be an UUID');
      const preduplet = await database.write(async (tx) => {
        const document = await predupletOf(tx, body.problem, body.data);
        await documents.add(tx, 'preduplet', document, true);
        return document;
      });
      wake();
      return preduplet;
    },
  };
}

/** New data carry on the chain of every algorithm that has one. */
async function continueChains(tx: DocumentsTx, problem: Problem, ids: readonly string[]): Promise<number> {
  const fresh = ids.filter((id) => !problem.test_dataset.includes(id));
  if (fresh.length === 0) return 0;
  let count = 0;
  for (const algo of await documents.list(tx, 'algo', { problem: problem.uuid })) {
    const chain = (await documents.list(tx, 'learnuplet', { algo: algo.uuid })).map(asLearnuplet);
    const last = chain.reduce<LearnupletDocument | undefined>(
      (a, b) => (a === undefined || b.rank > a.rank ? b : a),
      undefined,
    );
    const first = { rank: (last?.rank ?? -1) + 1, modelStart: startAfter(last, algo.uuid) };
    count += await addLearnuplets(tx, problem, algo.uuid, fresh, first);
  }
  return count;
}

/** After a chain that is done the next rank can start; in the middle of one it waits for the rank before it. */
function startAfter(last: LearnupletDocument | undefined, algo: string): string | null {
  if (last === undefined) return algo;
  return last.status === 'done' ? last.model_end : null;
}

async function trainingData(tx: DocumentsTx, problem: Problem): Promise<string[]> {
  const all = await documents.list(tx, 'data');
  return all
    .filter((data) => Array.isArray(data.problems) && data.problems.includes(problem.uuid))
    .map((data) => data.uuid)
    .filter((uuid) => !problem.test_dataset.includes(uuid));
}

async function predupletOf(tx: DocumentsTx, problemId: string, data: string): Promise<Document> {
  const problem = await findProblem(tx, problemId);
  const done = (await documents.list(tx, 'learnuplet', { problem: problemId, status: 'done' })).map(
    asLearnuplet,
  );
  const [first, ...others] = done;
  if (problem === undefined || first === undefined) throw refused('no problem or trained model');
  return {
    uuid: randomUUID(),
    problem: problem.uuid,
    workflow: problem.workflow,
    model: bestOf(first, others).model_end,
    data,
    worker: null,
    status: 'todo',
    timestamp_request: unixSeconds(),
    timestamp_done: null,
    prediction_storage_uuid: null,
  };
}

async function knownProblem(tx: DocumentsTx, uuid: string): Promise<Problem> {
  const problem = await findProblem(tx, uuid);
  if (problem === undefined) throw refused('non-existing related problem');
  return problem;
}

async function addNew(
  tx: DocumentsTx,
  collection: 'problem' | 'algo' | 'data',
  document: Document,
): Promise<void> {
  if (await documents.add(tx, collection, document)) return;
  throw refused(`${collection} ${document.uuid} is known already`);
}
