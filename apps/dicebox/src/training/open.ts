import {
  type Call,
  DICEBOX_SEARCH_V1,
  DICEBOX_TRAINING,
  DICEBOX_TRAINING_V1,
  type Handlers,
  OUTPUT_PAGE,
} from '@morpheo/common';
import { startLoop } from '@morpheo/service/lifecycle';
import { type DiceboxParts, type OpenedRoutes, routeSet } from '../http/route-set.ts';
import { ownerOf } from '../sensory/dialect-routes.ts';
import { picturesOf } from '../sensory/open.ts';
import { viewerOf } from '../sensory/own-routes.ts';
import { outputOf } from './job.ts';
import { searchNetworks } from './network-searches.ts';
import { keepTrainer } from './trainer.ts';
import { Trainings } from './trainings.ts';

/** The training service without its listener: its routes, and what it does by itself. */
export interface OpenedTraining extends OpenedRoutes {
  /** What `/ready` calls it. */
  readonly name: 'training';
}

const OWN = { ...DICEBOX_TRAINING_V1, ...DICEBOX_SEARCH_V1 };

/** How often it is looked whether storage still has the trainer. */
const EVERY_MS = 60_000;

/** Opens the training service; its trainings are orders of compute-api, on the pictures of `parts.database`. */
export async function openTraining(parts: DiceboxParts): Promise<OpenedTraining> {
  const { compute, storage, log, training: defaults } = parts;
  const { sets, snapshots } = picturesOf(parts);
  const trainings = new Trainings({
    ...{ compute, storage, sets, snapshots, defaults },
    account: parts.classification.owner,
  });
  const work = async (signal: AbortSignal) => await keepTrainer(storage, signal);
  const loop = startLoop({ name: 'trainer on storage', everyMs: EVERY_MS, work, log });
  return {
    name: 'training',
    routes: routeSet(DICEBOX_TRAINING, OWN, {
      requestTraining: async (_, call) => {
        const set = await sets.find(ownerOf(call));
        const { id } = await trainings.order({ set: set.id }, viewerOf(call), call?.signal);
        return { training_request_id: id };
      },
      ...ownRoutes(trainings, storage),
      searchNetworks: async ({ body }, call) =>
        await searchNetworks(
          { compute, storage, sets, snapshots, defaults },
          body,
          viewerOf(call),
          call?.signal,
        ),
    }),
    [Symbol.asyncDispose]: async () => await loop[Symbol.asyncDispose](),
  };
}

function ownRoutes(
  trainings: Trainings,
  storage: Pick<DiceboxParts['storage'], 'listOutputFiles' | 'getOutputFile'>,
): Handlers<typeof DICEBOX_TRAINING_V1> {
  /** Where what it has left lies; for who may see it. */
  const filesOf = async ({ training }: { readonly training: string }, call: Call | undefined) => {
    const { output = outputOf(training) } = await trainings.summary(training, viewerOf(call), call?.signal);
    return { uuid: output };
  };
  return {
    createTraining: async ({ body }, call) => await trainings.order(body, viewerOf(call), call?.signal),
    listTrainings: async ({ query }, call) => await trainings.list(query, viewerOf(call), call?.signal),
    getTraining: async ({ params }, call) =>
      await trainings.get(params.training, viewerOf(call), call?.signal),
    cancelTraining: async ({ params }, call) =>
      await trainings.cancel(params.training, viewerOf(call), call?.signal),
    listTrainingFiles: async ({ params }, call) => {
      const { items } = await storage.listOutputFiles(
        { params: await filesOf(params, call), query: { limit: OUTPUT_PAGE.most } },
        { signal: call?.signal },
      );
      return { items: items.map(({ path, size, sha256 }) => ({ path, size, sha256 })) };
    },
    getTrainingFile: async ({ params, query }, call) => {
      const file = { params: await filesOf(params, call), query, headers: {} };
      const { body, headers } = await storage.getOutputFile(file, { signal: call?.signal });
      const length = headers['content-length'];
      return {
        status: 200,
        headers: {
          'content-type': 'application/octet-stream',
          ...(length !== undefined && { 'content-length': length }),
        },
        body,
      };
    },
  };
}
