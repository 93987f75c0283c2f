import type { Api, ComputeContract } from '@morpheo/common';
import { type AttemptParts, attemptHandlers } from './api-attempts.ts';
import { type OrderParts, orderHandlers } from './api-orders.ts';
import { ownerHandlers } from './api-owners.ts';
import type { Placing } from './place.ts';
import { problemDefaultsHandlers } from './problem-defaults.ts';

/** What the handlers work with. */
export interface ApiParts extends OrderParts, AttemptParts {
  readonly placing: Placing;
}

/** The handlers of compute-api, one for each route of its contract. */
export function createApi(parts: ApiParts): Api<ComputeContract> {
  const { placing } = parts;
  return {
    index: async () => ['/', '/health', '/learn', '/pred'],
    learn: async ({ body }, call) => {
      await placing.place({ kind: 'learn', uplet: body }, call?.principal);
      return { message: 'Learn-uplet ingested accordingly' };
    },
    pred: async ({ body }, call) => {
      await placing.place({ kind: 'predict', uplet: body }, call?.principal);
      return { message: 'Pred-uplet ingested' };
    },
    ...orderHandlers(parts),
    ...problemDefaultsHandlers(parts),
    ...ownerHandlers(parts),
    ...attemptHandlers(parts),
  };
}
