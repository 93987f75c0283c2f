import {
  type Classified,
  DICEBOX_CLASSIFICATION,
  DICEBOX_CLASSIFICATION_V1,
  isPlatformError,
} from '@morpheo/common';
import { type RouteSet, routeSet } from '../http/route-set.ts';
import { readBase64, readPicture } from '../pixels/picture.ts';
import { viewerOf } from '../sensory/own-routes.ts';
import type { InUse, Said } from './in-use.ts';
import { type Networks, viewOf } from './networks.ts';
import type { Page } from './page.ts';
import { doneTraining, networkOf, type TrainingsOptions } from './trainings.ts';

/** What the handlers work with. */
export interface ClassificationParts extends TrainingsOptions {
  readonly networks: Networks;
  readonly inUse: InUse;
  readonly page: Page;
  /** Looks at networks at once. */
  readonly wake: () => void;
}

/** The answer of the original where no network can be asked. */
const NONE = -1;

/** The routes of classification, with what answers them. */
export function classificationRoutes(parts: ClassificationParts): RouteSet {
  const { inUse, networks, page, wake } = parts;
  const categoryMap = async () => ({
    category_map: Object.fromEntries(
      (inUse.network?.categories ?? []).map((category, index) => [String(index), category]),
    ),
  });
  return routeSet(DICEBOX_CLASSIFICATION, DICEBOX_CLASSIFICATION_V1, {
    category: categoryMap,
    categories: categoryMap,
    classify: async ({ body }) => {
      try {
        return { classification: likeliest(await say(inUse, body.data)) };
      } catch (error) {
        // There is no network, or its program answers nothing: the original says so by this, and nothing else.
        if (isPlatformError(error, 'wrong_state', 'call_failed')) return { classification: NONE };
        throw error;
      }
    },
    classifyPicture: async ({ body }) => {
      const started = performance.now();
      return classifiedOf(await say(inUse, body.data), performance.now() - started);
    },
    listNetworks: async () => ({ items: (await networks.list()).map(viewOf) }),
    adoptNetwork: async ({ body: { training, other_categories = false } }, call) => {
      const known = await networks.known([training]);
      if (!known.has(training)) {
        const done = await doneTraining(parts, training, viewerOf(call));
        await networks.add([await networkOf(parts.storage, done)]);
      }
      const wanted = await networks.want(training, other_categories);
      wake();
      return viewOf(wanted);
    },
    refuseNetwork: async ({ params: { training }, body: { reason } }) =>
      viewOf(await networks.refuse(training, reason)),
    drawingPage: async () => page.document(),
    drawingFile: async ({ params: { file } }) => page.file(file),
  });
}

async function say(inUse: InUse, data: string): Promise<Said> {
  const picture = readBase64(data, '`data`');
  return await inUse.ask(async (network) => (await readPicture(picture, network)).pixels);
}

function classifiedOf(said: Said, ms: number): Classified {
  const { network, probabilities } = said;
  const { training, digest, accuracy, categories } = network;
  const index = likeliest(said);
  return {
    category: categories[index] ?? '',
    index,
    probabilities: categories.map((category, at) => ({ category, probability: probabilities[at] ?? 0 })),
    network: { training, digest, accuracy },
    ms,
  };
}

/** The first of the categories that are the likeliest. */
function likeliest({ probabilities }: Said): number {
  return probabilities.indexOf(Math.max(...probabilities));
}
