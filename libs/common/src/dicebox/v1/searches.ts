import * as z from 'zod';
import { json } from '../../contract/contract.ts';
import { search, searchView } from '../../search/search.ts';
import { uuid } from '../../uuid.ts';
import type { Endpoints } from '../dialects.ts';
import { trainingRequest } from './training.ts';

const { name, strategy, seed, budget, stop_at, parallel, control, rungs, start } = search.shape;
const { set, test_set, batch_size, held_out, noise, gpus } = trainingRequest.shape;

/** A search for a network that classifies the pictures of a set, as they are now. */
export const networkSearchRequest = z.strictObject({
  ...{ uuid, name, strategy, seed, budget, stop_at, parallel, control, start },
  /** Epochs from rung to rung; 1, 3 and 9 where absent, and 9 alone for the strategy `dicebox`, which has no rungs. */
  rungs: rungs.removeDefault().optional(),
  /** What networks are tried: the ranges of a parameter of the kind `network`, without `kind`, `input_shape` and `output_size`. */
  networks: z.record(z.string(), z.json()).optional(),
  /** As those of a training. */
  ...{ set, test_set, batch_size, held_out, noise, gpus },
});

/** See {@link networkSearchRequest}. */
export type NetworkSearchRequest = z.infer<typeof networkSearchRequest>;

/** The route of our own for searches of networks. */
export const DICEBOX_SEARCH_V1 = {
  searchNetworks: {
    method: 'POST',
    path: '/v1/searches',
    summary: 'Search for a network that classifies the pictures of a set; 202 means that it is on disk',
    description:
      'It becomes a search of compute-api, under its `/v1/searches/:uuid`, whose owner is the account by which dicebox orders. Pictures that are stored later are no part of it.',
    access: ['orchestrator'],
    body: json(networkSearchRequest, 2 * 1024 * 1024),
    status: 202,
    response: json(searchView),
    errors: [
      ...(['invalid_request', 'invalid_json', 'invalid_order', 'not_found', 'conflict'] as const),
      ...(['forbidden', 'wrong_state', 'rate_limited', 'unavailable'] as const),
    ],
  },
} as const satisfies Endpoints;
