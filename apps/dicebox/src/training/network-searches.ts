import { type NetworkSearchRequest, type Search, type SearchView, search } from '@morpheo/common';
import type { Peers } from '../clients.ts';
import type { PictureSets, Viewer } from '../sensory/sets.ts';
import type { Snapshots } from '../sensory/snapshots.ts';
import { jobOf, settingsOf, type TrainingPictures } from './job.ts';
import { digestOf, labelsOf, ownerLabel } from './labels.ts';
import type { TrainingDefaults } from './settings.ts';
import { keepTrainer, type TrainerStorage } from './trainer.ts';

/** What searches for networks are made with. */
export interface NetworkSearchesParts {
  readonly compute: Pick<Peers['compute'], 'postSearch'>;
  readonly storage: TrainerStorage;
  readonly sets: PictureSets;
  readonly snapshots: Snapshots;
  readonly defaults: TrainingDefaults;
}

const RUNGS = [1, 3, 9];

/** Epochs from rung to rung, where nothing is said of them: generations of dicebox are ranked as a whole, and have one rung. */
function rungsOf({ strategy }: NetworkSearchRequest): number[] {
  return strategy?.name === 'dicebox' ? RUNGS.slice(-1) : RUNGS;
}

/** The same for all trials: they differ in their networks alone. */
const SEED = 1;

/**
 * Begins a search for a network, which is one of compute-api whose jobs are trainings. Throws `not_found` for a set that the
 * viewer does not have, and what compute-api refuses it with.
 */
export async function searchNetworks(
  { compute, storage, sets, snapshots, defaults }: NetworkSearchesParts,
  request: NetworkSearchRequest,
  viewer: Viewer,
  signal?: AbortSignal,
): Promise<SearchView> {
  const picturesOf = async (id: string): Promise<TrainingPictures> => {
    const snapshot = await snapshots.take(await sets.get(id, viewer));
    return { snapshot, shards: await snapshots.shards(snapshot) };
  };
  const set = await sets.get(request.set, viewer);
  const pictures = await picturesOf(request.set);
  const { test_set } = request;
  const test = test_set === undefined ? undefined : await picturesOf(test_set);
  const rungs = request.rungs ?? rungsOf(request);
  const { seed: _ofSearch, rungs: _rungs, networks, uuid, ...members } = request;
  // Trials are trainings as others are: the best of them is classified with.
  const labels = labelsOf({
    ...{ owner: ownerLabel(set.owner), set, network: 'genome', epochs: rungs.at(-1) ?? 1 },
    ...{ pictures: pictures.snapshot.pictures, request: digestOf(uuid) },
  });
  const training = {
    ...{ id: uuid, pictures, test, labels },
    request: { ...members, seed: SEED },
    // Each trial has its own in this place.
    network: { preset: defaults.trainNetwork },
  };
  await keepTrainer(storage, signal);
  const { uuid: _id, output: _output, inputs = [], ...job } = jobOf(training, defaults);
  const { network: _network, epochs: _epochs, ...template } = settingsOf(training, defaults);
  const { width, height, channels } = set;
  const output_size = pictures.snapshot.categories.length;
  const own = { kind: 'network', input_shape: [width, height, channels], output_size };
  const body: Search = search.parse({
    ...ofSearch(request),
    ...{
      rungs,
      objective: { goal: 'maximize', score: 'accuracy' },
      space: { network: { ...networks, ...own } },
    },
    job: { ...job, inputs: inputs.filter(({ path }) => path !== SETTINGS) },
    parameters: { path: SETTINGS, template },
    ...{ resource: { member: 'epochs' }, previous: '/start' },
  });
  return await compute.postSearch({ body }, { signal });
}

const SETTINGS = '/config/training.json';

function ofSearch({
  uuid,
  name,
  strategy,
  seed,
  budget,
  stop_at,
  parallel,
  control,
  start,
}: NetworkSearchRequest) {
  return { uuid, name, strategy, seed, budget, stop_at, parallel, control, start };
}
